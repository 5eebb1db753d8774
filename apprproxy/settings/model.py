"""The configuration as values: every key, its default, and the rules that one key or one section must keep."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    field_validator,
    model_validator,
)
from yarl import URL

from apprproxy.settings.units import Duration, Size, Wait

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
RESERVED = {"v2", "cnr", "charts", "api", "metrics", "healthz", "readyz", "ui", "static"}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(text: str) -> str:
    host, port = split_address(text)
    if not host or not 0 <= port <= 65535:
        raise ValueError(f"not an address: {text!r}; write 127.0.0.1:8080, or [::1]:8080")
    return text


def split_address(text: str) -> tuple[str, int]:
    """Host without brackets, and port; the port is -1 where there is none."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return "", -1
    return host, int(port) if port.isdecimal() and len(port) < 6 else -1


def is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[
    Annotated[Address, Tag("[one]")] | Annotated[list[Address], Field(min_length=1), Tag("[several]")],
    Discriminator(lambda given: "[several]" if isinstance(given, list) else "[one]"),
]
"""Told apart by hand, so that what is wrong with an address is not said to be wrong with a list as well."""


def _url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("not an http or https URL")
    if url.user is not None or url.password is not None:
        raise ValueError("a URL with a user name in it would end up in logs; use auth")
    if url.query_string or url.fragment:
        raise ValueError("a base URL has neither query nor fragment")
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]


class ServerTls(Section):
    cert: Path
    key: Path


class Limits(Section):
    header: Wait = 10.0
    idle: Duration = 75.0
    stall: Wait = 60.0
    connections: int = Field(4096, ge=1)


class Server(Section):
    listen: Addresses = "127.0.0.1:8080"
    ops: Address | None = None
    tls: ServerTls | None = None
    limits: Limits = Limits()

    @property
    def addresses(self) -> list[str]:
        return [self.listen] if isinstance(self.listen, str) else self.listen


class Cache(Section):
    directory: Path = Path("./.apprproxy")
    memory: Size = 128 * 1024**2

    @field_validator("directory", mode="before")
    @classmethod
    def _somewhere(cls, directory: object) -> object:
        if directory == "":
            raise ValueError("must not be empty")
        return directory


class Delivery(Section):
    patience: Duration = 10.0
    max_blob: Size = 64 * 1024**3


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
    realms: list[str] = []

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
    redirects: list[str] = []
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


class Configuration(Section):
    """The whole file."""

    server: Server = Server()
    cache: Cache = Cache()
    delivery: Delivery = Delivery()
    offline: bool = False
    upstreams: dict[str, Upstream] = {}
    views: dict[str, list[str]] = {}

    @field_validator("upstreams", "views")
    @classmethod
    def _names(cls, named: dict[str, object]) -> dict[str, object]:
        for name in named:
            if not _NAME.fullmatch(name) or len(name) > 63:
                raise ValueError(f"{name!r} is no name: lower-case letters, digits, dots and hyphens")
            if name in RESERVED:
                raise ValueError(f"{name!r} is taken: it is a path of the gateway's own")
        return named

    @model_validator(mode="after")
    def _views_name_upstreams(self) -> Self:
        for view, members in self.views.items():
            if view in self.upstreams:
                raise ValueError(f"views.{view}: an upstream has that name already")
            for member in members:
                if member not in self.upstreams:
                    raise ValueError(f"views.{view}: there is no upstream {member!r}")
            if len(set(members)) != len(members):
                raise ValueError(f"views.{view}: a member stands twice")
        return self

    @model_validator(mode="after")
    def _credentials_are_shared_knowingly(self) -> Self:
        open_to_others = [address for address in self.server.addresses if not is_loopback(address)]
        for name, upstream in self.upstreams.items():
            if open_to_others and upstream.auth is not None and not upstream.auth.share:
                raise ValueError(
                    f"upstreams.{name}.auth: the gateway listens on {open_to_others[0]} and does not ask who its"
                    f" clients are, so everyone who reaches it would read what {upstream.auth.whose} may read;"
                    " if that is meant, set share: true, otherwise listen on loopback"
                )
        return self

    def default_view(self, kind: str) -> list[str]:
        """Who answers names without a prefix: the view ``default``, or an upstream that is the only one of its kind."""
        if "default" in self.views:
            return [name for name in self.views["default"] if self.upstreams[name].kind == kind]
        only = [name for name, upstream in self.upstreams.items() if upstream.kind == kind]
        return only if len(only) == 1 else []


Settings = Configuration
