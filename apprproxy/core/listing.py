"""What lists say of things that can be pulled: the words that protocols and the search share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.kind import Kind


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository or package. What its list does not say is None, or empty; ``latest`` is a tag or release."""

    name: str
    latest: str = ""
    versions: int | None = None
    formats: tuple[str, ...] = ()
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a list of one thing's own adds; None for what it says nothing of."""

    latest: str | None = None
    versions: int | None = None
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """How clients reach this gateway: a host, with its port where it has one, that is safe in a command line."""

    host: str
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    client: str
    line: str


class ListReader(Protocol):
    """Reads a protocol's lists. Pure.

    Whatever is no name of the protocol's grammar is left out: names end up in command lines and on terminals. May be
    slow for large documents, and never raises for what an upstream may send.
    """

    @property
    def protocol(self) -> str: ...

    @property
    def listing(self) -> Kind:
        """The list of everything."""
        ...

    @property
    def details(self) -> Sequence[Kind]:
        """Lists of one thing's own that say more."""
        ...

    def listed(self, document: bytes) -> Iterable[Listed]: ...

    def facts(self, kind: Kind, document: bytes) -> Facts: ...

    def commands(self, base: Base, upstream: str, thing: Listed) -> Sequence[Command]:
        """How to pull it through this gateway."""
        ...
