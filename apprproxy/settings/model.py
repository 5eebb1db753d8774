"""The configuration as a whole: the gateway's own sections, and the rules between them."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from apprproxy.settings.fields import Address, Addresses, Section, is_loopback, split_address
from apprproxy.settings.units import Duration, Size, Wait, write_size
from apprproxy.settings.upstream import Upstream
from apprproxy.settings.view import View

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
RESERVED = {"v2", "cnr", "charts", "api", "metrics", "healthz", "readyz", "ui", "static"}

MIN_CAP = 64 * 1024**2
"""The largest package that is accepted, and the step in which room is reserved for what comes without a size."""


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

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        """Port 0 is another one each time."""
        given = [*self.addresses, *([self.ops] if self.ops is not None else ())]
        for address in given:
            if given.count(address) > 1 and split_address(address)[1]:
                raise ValueError(f"{address} stands twice: listen and ops have an address each")
        return self

    @property
    def addresses(self) -> list[str]:
        return [self.listen] if isinstance(self.listen, str) else self.listen


class Cache(Section):
    directory: Path = Path("./.apprproxy")
    max_size: Size = 20 * 1024**3
    memory: Size = 128 * 1024**2

    @field_validator("max_size")
    @classmethod
    def _a_package_fits(cls, size: int) -> int:
        if size < MIN_CAP:
            raise ValueError(f"must be {write_size(MIN_CAP)} or more, so that the largest package fits")
        return size

    @field_validator("directory", mode="before")
    @classmethod
    def _somewhere(cls, directory: object) -> object:
        if directory == "":
            raise ValueError("must not be empty")
        return directory


class Delivery(Section):
    stream: Literal["owner", "any", "never"] = "owner"
    patience: Duration = 10.0
    side_range: Size = 8 * 1024**2
    max_blob: Size = 64 * 1024**3


class Configuration(Section):
    """The whole file."""

    server: Server = Server()
    cache: Cache = Cache()
    delivery: Delivery = Delivery()
    offline: bool = False
    upstreams: dict[str, Upstream] = Field(default_factory=dict)
    views: dict[str, View] = Field(default_factory=dict)

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
        for name, view in self.views.items():
            if name in self.upstreams:
                raise ValueError(f"views.{name}: an upstream has that name already")
            for member in view.members:
                if member not in self.upstreams:
                    raise ValueError(f"views.{name}: there is no upstream {member!r}")
            if len(set(view.members)) != len(view.members):
                raise ValueError(f"views.{name}: a member stands twice")
        return self

    @model_validator(mode="after")
    def _hosts_are_claimed_once(self) -> Self:
        """Over ns and views: one host must not lead to two places, depending on how a client names it."""
        claims = [
            (host, name, f"upstreams.{name}.ns") for name, upstream in self.upstreams.items() for host in upstream.ns
        ]
        claims += [(host, name, f"views.{name}.hosts") for name, view in self.views.items() for host in view.hosts]
        claimed: dict[str, str] = {}
        for host, name, key in claims:
            if host in claimed:
                raise ValueError(f"{key}: {host} is claimed by {claimed[host]} already")
            claimed[host] = name
        return self

    @model_validator(mode="after")
    def _names_are_owned_once(self) -> Self:
        """By kind: an image and a package may have one name."""
        owners: dict[tuple[str, str], str] = {}
        for name, upstream in self.upstreams.items():
            for pattern in upstream.own:
                owner = owners.setdefault((upstream.kind, pattern), name)
                if owner != name:
                    raise ValueError(f"upstreams.{name}.own: {pattern} is owned by {owner} already")
        return self

    @model_validator(mode="after")
    def _credentials_are_shared_knowingly(self) -> Self:
        open_to_others = [address for address in self.server.addresses if not is_loopback(address)]
        for name, upstream in self.upstreams.items():
            account = upstream.account
            if open_to_others and account is not None and not account.share:
                raise ValueError(
                    f"upstreams.{name}.auth: the gateway listens on {open_to_others[0]} and does not ask who its"
                    f" clients are, so everyone who reaches it would read what {account.whose} may read;"
                    " if that is meant, set share: true, otherwise listen on loopback"
                )
        return self

    def default_view(self, kind: str) -> list[str]:
        """Who answers names without a prefix: the view ``default``, or an upstream that is the only one of its kind."""
        if "default" in self.views:
            return [name for name in self.views["default"].members if self.upstreams[name].kind == kind]
        only = [name for name, upstream in self.upstreams.items() if upstream.kind == kind]
        return only if len(only) == 1 else []


Settings = Configuration
