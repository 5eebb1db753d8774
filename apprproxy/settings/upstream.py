"""One upstream: where it is, how it is spoken to, and on which terms its names are taken."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from yarl import URL

from apprproxy.settings import pattern
from apprproxy.settings.fields import HostName, Section, Url
from apprproxy.settings.mirror import Mirror, check
from apprproxy.settings.protocols import KEYS, Follow, Gone, ProtocolName, only_for
from apprproxy.settings.reach import DEFAULT_PREFIX, ClientTls, Connections, Prefix, Proxy
from apprproxy.settings.units import Duration, Wait

HALF_ACCOUNT = "half_account"
"""The kind of a fault: what is told of it ends with the variable, in whose name is the upstream's."""


class Timeouts(Section):
    connect: Wait = 5.0
    read: Wait = 30.0
    name: Wait = 10.0
    revalidate: Duration = 1.5


class Auth(Section):
    """``password`` is for the environment; a file is better. ``docker_config`` stands alone: whose account it gives is
    chosen by the upstream's host. ``realms`` alone are no account."""

    username: str = ""
    password_file: Path | None = None
    password: Annotated[SecretStr, Field(min_length=1)] | None = None
    docker_config: Path | None = None
    share: bool = False
    realms: list[HostName] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_account(self) -> Self:
        if self.docker_config is not None:
            if self.username or self.password_file is not None or self.password is not None:
                raise ValueError("docker_config has the user name and the password in it: give it alone")
            return self
        if self.anonymous and self.realms and not self.share:
            return self
        if not self.username:
            raise ValueError("give a username with password_file, or docker_config; or realms alone")
        if (self.password_file is None) == (self.password is None):
            raise PydanticCustomError(HALF_ACCOUNT, "give either password_file or, in the environment,")
        return self

    @property
    def anonymous(self) -> bool:
        return not (self.username or self.password_file or self.password or self.docker_config)

    @property
    def key(self) -> str:
        """That which has the secret."""
        given = (key for key in ("docker_config", "password_file", "password") if getattr(self, key) is not None)
        return next(given)

    @property
    def file(self) -> Path | None:
        """Which has it, if it is one."""
        return self.docker_config or self.password_file

    @property
    def whose(self) -> str:
        """The account, as a message names it."""
        return repr(self.username) if self.username else f"the account in {self.docker_config}"


Patterns = list[Annotated[str, AfterValidator(pattern.written)]]


class Upstream(Section):
    """``moved`` and ``gone`` have defaults by kind: see ``moves`` and ``goes``."""

    kind: ProtocolName
    url: Url
    prefix: Prefix | None = None
    ns: list[str] = Field(default_factory=list)
    mirrors: list[Mirror] = Field(default_factory=list)
    fresh_for: Duration = 60.0
    stale_for: Duration = 7 * 86400.0
    missing_for: Duration = 10.0
    moved: Follow | None = None
    gone: Gone | None = None
    writes: Literal["refuse", "pass"] = "refuse"
    timeouts: Timeouts = Timeouts()
    connections: Connections = 32
    proxy: Proxy | None = None
    auth: Auth | None = None
    redirects: list[HostName] = Field(default_factory=list)
    tls: ClientTls = ClientTls()
    names: Literal["trust", "locked", "refuse"] = "trust"
    lock_file: Path | None = None
    allow: Patterns = Field(default_factory=lambda: ["*"])
    deny: Patterns = Field(default_factory=list)
    own: Patterns = Field(default_factory=list)

    @field_validator("kind", mode="before")
    @classmethod
    def _built(cls, kind: object) -> object:
        if kind == "helm":
            raise ValueError("classic chart repositories are not built yet")
        return kind

    @field_validator("ns")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?", host):
                raise ValueError(f"not a host, or a host and its port, in lower case: {host!r}")
        return hosts

    @field_validator("mirrors")
    @classmethod
    def _mirrors_fit(cls, mirrors: list[Mirror], info: ValidationInfo) -> list[Mirror]:
        if {"kind", "url"} <= info.data.keys():  # else that is what is wrong
            check(mirrors, info.data["kind"], info.data["url"])
        return mirrors

    @field_validator("allow", "deny", "own")
    @classmethod
    def _patterns_fit_the_kind(cls, patterns: list[str], info: ValidationInfo) -> list[str]:
        for one in patterns if "kind" in info.data else ():
            pattern.check(one, info.data["kind"])
        return patterns

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        keys = KEYS[self.kind]
        if self.prefix is not None and not keys.prefix:
            raise ValueError(f"prefix is for {only_for('prefix')} only")
        if self.ns and not keys.ns:
            raise ValueError(f"ns is for {only_for('ns')} only")
        if self.writes == "pass" and not keys.writes:
            raise ValueError(f"writes pass to {only_for('writes')} only; push to an OCI registry itself")
        if not keys.based and URL(self.url).path not in ("", "/"):
            raise ValueError("an OCI registry answers at /v2/ below its host: url must have no path")
        return self

    @model_validator(mode="after")
    def _names_have_a_source(self) -> Self:
        if self.names == "locked" and self.lock_file is None:
            raise ValueError("names: locked needs lock_file; `apprproxy names lock` writes one")
        if self.names != "locked" and self.lock_file is not None:
            raise ValueError("lock_file is for names: locked only")
        if self.names != "trust" and self.writes == "pass":
            raise ValueError("writes: pass needs names: trust, for a push changes names")
        return self

    @property
    def account(self) -> Auth | None:
        """None where ``auth`` gives none, and only says who may give tokens to anybody."""
        return None if self.auth is None or self.auth.anonymous else self.auth

    @property
    def moves(self) -> Follow:
        return self.moved or KEYS[self.kind].moved

    @property
    def goes(self) -> Gone:
        return self.gone or KEYS[self.kind].gone

    @property
    def full_prefix(self) -> str:
        """Empty where the protocol has none."""
        return DEFAULT_PREFIX if self.prefix is None and KEYS[self.kind].prefix else self.prefix or ""

    @property
    def full_mirrors(self) -> list[Mirror]:
        """With what they have from this upstream, and every default that depends on the kind."""
        return [self._filled_in(mirror) for mirror in self.mirrors]

    def _filled_in(self, mirror: Mirror) -> Mirror:
        given, kind = mirror.timeouts, mirror.kind or self.kind
        connect, read = given.connect or self.timeouts.connect, given.read or self.timeouts.read
        timeouts = given.model_copy(update={"connect": connect, "read": read})
        prefix = DEFAULT_PREFIX if mirror.prefix is None and kind != "static" and KEYS[kind].prefix else mirror.prefix
        return mirror.model_copy(update={"kind": kind, "prefix": prefix, "timeouts": timeouts})
