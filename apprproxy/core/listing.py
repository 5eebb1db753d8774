"""What lists say of things that can be pulled: the words that protocols, the search and provenance share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected, Kind, NameWant, Place


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


class Lists(Protocol):
    """A protocol's lists, read. Pure.

    Whatever is no name of the protocol's grammar is left out: names end up in command lines and on terminals. May be
    slow for large documents, and never raises for what an upstream may send.
    """

    @property
    def kind(self) -> str: ...

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


@dataclass(frozen=True, slots=True)
class Pinned:
    """A release-like name as it is pinned, and the bytes that it means."""

    pin: str
    expected: Expected


class Names(Protocol):
    """How people write a protocol's names. Pure."""

    def wants(self, place: Place, text: str) -> Sequence[NameWant]:
        """The name, in the forms in which it may be remembered; raises Malformed."""
        ...

    def pinned(self, want: NameWant, target: Digest, document: bytes) -> Sequence[Pinned]:
        """What a name means whose document is this."""
        ...
