"""One upstream: where it is, how it is spoken to, and on which terms its names are taken."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from apprproxy.settings.fields import Section, Url
from apprproxy.settings.units import Duration, Wait


class Timeouts(Section):
    connect: Wait = 5.0
    read: Wait = 30.0
    name: Wait = 10.0
    revalidate: Duration = 1.5


class Auth(Section):
    """``password`` is for the environment; a file is better. ``docker_config`` stands alone: whose account it gives is
    chosen by the upstream's host."""

    username: str = ""
    password_file: Path | None = None
    password: SecretStr | None = None
    docker_config: Path | None = None
    share: bool = False
    realms: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if self.docker_config is not None:
            if self.username or self.password_file is not None or self.password is not None:
                raise ValueError("docker_config has the user name and the password in it: give it alone")
            return self
        if not self.username:
            raise ValueError("give a username with password_file, or docker_config")
        if (self.password_file is None) == (self.password is None):
            raise ValueError("give either password_file or (from the environment) password")
        return self

    @property
    def whose(self) -> str:
        """The account, as a message names it."""
        return repr(self.username) if self.username else f"the account in {self.docker_config}"


class ClientTls(Section):
    ca_file: Path | None = None
    verify: bool = True
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


Follow = Literal["follow", "refuse"]
Gone = Literal["follow", "keep"]


class Upstream(Section):
    """``moved`` and ``gone`` have defaults by kind: see ``moves`` and ``goes``."""

    kind: Literal["oci", "appr"]
    url: Url
    prefix: str | None = None
    ns: list[str] = Field(default_factory=list)
    fresh_for: Duration = 60.0
    stale_for: Duration = 7 * 86400.0
    missing_for: Duration = 10.0
    moved: Follow | None = None
    gone: Gone | None = None
    writes: Literal["refuse", "pass"] = "refuse"
    timeouts: Timeouts = Timeouts()
    connections: int = Field(32, ge=1, le=10_000)
    proxy: str | None = None
    auth: Auth | None = None
    redirects: list[str] = Field(default_factory=list)
    tls: ClientTls = ClientTls()

    @field_validator("kind", mode="before")
    @classmethod
    def _built(cls, kind: object) -> object:
        if kind == "helm":
            raise ValueError("classic chart repositories are not built yet")
        return kind

    @field_validator("prefix")
    @classmethod
    def _plain(cls, prefix: str | None) -> str | None:
        if prefix is not None and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
            raise ValueError("write a path such as /cnr, or nothing between quotes for none")
        return prefix

    @field_validator("ns")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?", host):
                raise ValueError(f"not a host, or a host and its port, in lower case: {host!r}")
        return hosts

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, proxy: str | None) -> str | None:
        if proxy is not None and (URL(proxy).scheme not in ("http", "https") or not URL(proxy).host):
            raise ValueError("not an http or https URL")
        return proxy

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        if self.prefix is not None and self.kind != "appr":
            raise ValueError("prefix is for kind: appr only")
        if self.ns and self.kind != "oci":
            raise ValueError("ns is for kind: oci only")
        if self.writes == "pass" and self.kind != "appr":
            raise ValueError("writes pass to kind: appr only; push to an OCI registry itself")
        if self.kind == "oci" and URL(self.url).path not in ("", "/"):
            raise ValueError("an OCI registry answers at /v2/ below its host: url has no path")
        return self

    @property
    def moves(self) -> Follow:
        return self.moved or ("refuse" if self.kind == "appr" else "follow")

    @property
    def goes(self) -> Gone:
        return self.gone or ("keep" if self.kind == "appr" else "follow")
