"""Whoever is asked: how requests and answers look, and the protocols in which they are spoken."""

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from apprproxy.core.digest import Digest
from apprproxy.core.errors import UpstreamFault
from apprproxy.core.model import MAX_DOCUMENT, BlobWant, Expected, Found, NameWant, Write


class Lane(StrEnum):
    """Which of an upstream's connections a request takes: small questions must not wait behind layers, nor layers
    behind clients that read slowly."""

    NAMES = "names"
    BLOBS = "blobs"
    BESIDE = "beside"
    """For one client alone, who may take its time: a part beside a transfer, or bytes that cannot be kept."""
    TOKENS = "tokens"


def beside(connections: int) -> int:
    """Connections for single clients, where there are so many for transfers that everybody shares."""
    return max(2, connections // 2)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to an upstream.

    ``path`` is absolute, percent-encoded, and rebuilt from parsed values; ``query`` likewise, without the ``?``.
    ``scope`` is the token scope (OCI); ``about`` is the repository that it is about; where it is a list or a write,
    that, and behind a ``?`` of what; ``limit`` bounds the body where it is read whole; ``headers_only`` leaves that of
    a success unread. ``in_turn``: a flight asks, and ends it when it is somebody else's turn, which is no trouble.
    ``as_caller`` sends the caller's own ``authorization`` instead of ours, and takes whatever is answered as the
    answer. ``patience`` is for how many seconds its caller waits for a connection, where that is less than others do.
    ``only_held``: another gateway is to fetch nothing for us.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    scope: str = ""
    about: str = ""
    kind: str = "name"
    lane: Lane = Lane.NAMES
    limit: int = MAX_DOCUMENT
    headers_only: bool = False
    in_turn: bool = False
    as_caller: bool = False
    authorization: str | None = None
    patience: float | None = None
    only_held: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``headers`` have lower-case names; a field that came more than once is joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def is_beyond(status: int, headers: Mapping[str, str]) -> bool:
    """Is it a living gateway that says that it could not ask further (Proxy-Status, RFC 9209)?"""
    return status in (502, 503, 504) and "proxy-status" in headers


def is_not_held(status: int, headers: Mapping[str, str]) -> bool:
    """Is it what a gateway says that was asked for what it holds alone, and does not hold that?"""
    return status == 504 and is_beyond(status, headers)


class Incoming(Protocol):
    """An answer whose body has not been read yet."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises Outage when it breaks off or stalls, or is not as long as announced."""
        ...


class Upstream(Protocol):
    """One remote place. Raises UpstreamFault, and nothing else, for whatever goes wrong on the way."""

    @property
    def name(self) -> str: ...

    def open(self, request: Request) -> AbstractAsyncContextManager[Incoming]:
        """Authenticated, redirects followed, body unread; the connection is given back on exit."""
        ...


T = TypeVar("T")
Plan = Generator[Request, Reply, T]


class Speaks(Protocol):
    """How a source is asked for bytes."""

    def blob_request(self, want: BlobWant) -> Request:
        """The request whose 200 has the bytes as its body."""
        ...

    def judge(self, reply: Reply) -> UpstreamFault | None:
        """What an answer other than the one hoped for means; None for a success."""
        ...


class Dialect(Speaks, Protocol):
    """A protocol as spoken to an upstream. No I/O: it says what to ask and judges what comes back."""

    def lookup(self, want: NameWant) -> Plan[Found]:
        """Yields requests, is sent replies, returns what was found; raises UpstreamFault.

        Of its own kinds, and of those that are asked of every protocol: ``presence`` of bytes, and REPOSITORY where one
        of its kinds is a ``part``."""
        ...

    def write(self, write: Write) -> Request:
        """The request that passes a write on; raises NotAllowed where the protocol knows none."""
        ...

    def archive(self, write: Write) -> bytes:
        """The packed content that a write brings, empty for none. Blocking; never raises."""
        ...

    def children(self, body: bytes) -> Sequence[Expected]:
        """What a document of this protocol names by digest, with the sizes that it states; nothing where it is none.

        Verified bytes, but anyone's: may be slow for large documents, and never raises.
        """
        ...

    def with_digests(self, want: NameWant, body: bytes, digests: Mapping[str, Digest]) -> bytes:
        """The document with these digests, by title, in place of those it claims; raises UpstreamFault where it has too
        many fields for that. Not asked of what is fetched by its digest (``Found.manifest``)."""
        ...


class Locked(Protocol):
    """The names of an upstream that is not trusted for them: from a lock file, as its protocol would say them. No I/O
    but the file's."""

    def find(self, want: NameWant) -> Found:
        """Raises Denied for what is not in the lock file, Malformed for what cannot be a name."""
        ...
