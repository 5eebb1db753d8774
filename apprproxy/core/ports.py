"""What the use case needs of the world, as small protocols shaped by their callers."""

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from apprproxy.core.digest import Digest
from apprproxy.core.errors import UpstreamFault
from apprproxy.core.events import Event
from apprproxy.core.model import (
    MAX_DOCUMENT,
    BlobWant,
    Contribution,
    Expected,
    FirstSeen,
    Found,
    NameWant,
    Record,
    Where,
    Write,
)

Clock = Callable[[], float]
"""Seconds since the epoch."""


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
    ``scope`` is the token scope (OCI); ``limit``
    bounds the body where it is read whole. ``as_caller`` sends the caller's own ``authorization`` instead of ours, and
    takes whatever is answered as the answer.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    scope: str = ""
    kind: str = "name"
    lane: Lane = Lane.NAMES
    limit: int = MAX_DOCUMENT
    as_caller: bool = False
    authorization: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``headers`` have lower-case names; a field that came more than once is joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


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

    async def send(self, request: Request) -> Reply:
        """The same, with the body read up to ``request.limit``."""
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
        """Yields requests, is sent replies, returns what was found; raises UpstreamFault."""
        ...

    def write(self, write: Write) -> Request:
        """The request that passes a write on."""
        ...

    def children(self, body: bytes) -> Sequence[Expected]:
        """What a document of this protocol names by digest, with the sizes that it states; nothing where it is none.

        Verified bytes, but anyone's: may be slow for large documents, and never raises.
        """
        ...

    def with_digests(self, want: NameWant, body: bytes, digests: Mapping[str, Digest]) -> bytes:
        """The document with these digests, by title, in place of those it claims."""
        ...


class Locked(Protocol):
    """The names of an upstream that is not trusted for them: from a lock file, as its protocol would say them. No I/O
    but the file's."""

    def find(self, want: NameWant) -> Found:
        """Raises Denied for what is not in the lock file, Malformed for what cannot be a name."""
        ...


class Readable(Protocol):
    """Bytes in a file or in memory. What it holds open goes with the last reference."""

    @property
    def identity(self) -> object:
        """Equal where it is the same file."""
        ...

    @property
    def size(self) -> int:
        """How much is there by now."""
        ...

    def fileno(self) -> int | None:
        """A descriptor for ``sendfile`` with explicit offsets, where there is a file."""
        ...

    def pread(self, offset: int, count: int) -> bytes:
        """Blocking; fewer bytes only at the end."""
        ...


class Held(Readable, Protocol):
    """Verified bytes, shared by whoever waited for them; the size is that of the whole."""

    @property
    def digest(self) -> Digest:
        """Of the bytes themselves, even where they were asked for by the tar inside."""
        ...

    async def read(self) -> bytes:
        """The whole; only for what is known to be small."""
        ...


class Ingest(Protocol):
    """Bytes on their way in."""

    async def write(self, chunk: bytes) -> None:
        """Raises Lied as soon as the bytes cannot be right any more (too long), NoRoom where they cannot be kept."""
        ...

    async def verify(self) -> Held:
        """Judges the bytes; raises Lied. What it returns can be read at once, and may not be durable yet."""
        ...

    async def commit(self) -> Held:
        """Verifies, if that has not been done, and makes the bytes durable and visible."""
        ...


class Partial(Ingest, Protocol):
    """Bytes on their way in that others may read along, and continue. This process alone fills it."""

    @property
    def size(self) -> int:
        """How much has come so far, in this process and before."""
        ...

    @property
    def parts(self) -> tuple[Contribution, ...]: ...

    @property
    def growing(self) -> Readable: ...

    def watch(self, grown: Callable[[], None]) -> None:
        """``grown`` is called whenever there is more to read along."""
        ...

    async def begins(self, upstream: str, source: str, due: int | None) -> None:
        """What is written from here on comes from there; ``due`` is the size of the whole, where it is known."""
        ...

    async def leave(self, *, keep: bool) -> None:
        """To be called once, at the end. What has not been committed stays for whoever continues, or is thrown away."""
        ...


class Elsewhere(Protocol):
    """Bytes that another process is filling in."""

    @property
    def growing(self) -> Readable: ...

    @property
    def parts(self) -> tuple[Contribution, ...]: ...

    @property
    def due(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """Exactly one of the three: the bytes, the right to fill them in, or word of who does."""

    held: Held | None = None
    partial: Partial | None = None
    elsewhere: Elsewhere | None = None


class BlobStore(Protocol):
    async def find(self, expected: Expected) -> Held | None: ...

    def ingest(self, expected: Expected, source: str) -> AbstractAsyncContextManager[Ingest]:
        """For bytes that are at hand. Leaving without ``commit`` discards. ``source`` is named in the Lied that
        verification raises."""
        ...

    async def begun(self, expected: Expected) -> bool:
        """Has some of it arrived, in whichever process?"""
        ...

    async def claim(self, expected: Expected) -> Claim:
        """At most one process at a time is given the Partial of a digest. Continues what a process left behind."""
        ...

    def unkept(self, expected: Expected) -> Partial:
        """For bytes that cannot be kept: at most ``MAX_PACKED`` of them, in memory, gone when nobody needs them."""
        ...


class Index(Protocol):
    """What is known of blobs beside their bytes: who may see them, what names them, how large they are, when they were
    used. Survives restarts, is shared by all processes of a cache, and is a hint: the file system is the truth.

    ``key`` is an ``Expected.key``.
    """

    async def shows(self, where: Where, key: str) -> bool:
        """May this repository show these bytes? If they came here through it, or its owner confirmed them there; or if
        a manifest that it shows names them and they came from the same upstream: a manifest alone proves nothing."""
        ...

    async def shown(self, where: Where, key: str, source: str = "") -> None:
        """Remember that it may. ``source`` sent the bytes (``owner``, ``mirror-1``; several with commas between);
        empty: its owner only said that it has them."""
        ...

    async def link(self, parent: Digest, children: Sequence[Expected]) -> None:
        """A document and all that it names by digest."""
        ...

    async def stated_size(self, where: Where, key: str) -> int | None:
        """What the manifests that this repository shows say; None where none does, or they contradict each other."""
        ...

    def used(self, digest: Digest) -> None:
        """Somebody was given it. Must not block: written down some seconds later."""
        ...

    async def moved_on(self, name: str, root: Digest) -> None:
        """The name (``upstream/repository:tag``) now points at this document; if it is pinned, the pin goes along."""
        ...


class Names(Protocol):
    """Names and where they point. Durable when the call returns."""

    async def get(self, upstream: str, key: str) -> Record | None: ...

    async def put(self, upstream: str, key: str, record: Record, as_of: int) -> None:
        """``as_of`` is the generation in which its owner was asked: what was asked before a ``forget`` is not kept."""
        ...

    async def drop(self, upstream: str, key: str, as_of: int) -> None:
        """Its owner says that there is none; ``as_of`` as for ``put``."""
        ...

    async def forget(self, upstream: str, repository: str, titles: Iterable[str] = ()) -> None:
        """Every name of the repository, the lists it may stand in, and these titles' first-seen digests: in every
        process, at once."""
        ...

    def generation(self) -> int:
        """Another number after every ``forget``, by whichever process."""
        ...

    async def owner(self, view: str, key: str) -> str | None:
        """The member of the view that had this name."""
        ...

    async def set_owner(self, view: str, key: str, upstream: str) -> None: ...


class FirstSeens(Protocol):
    """The first digest seen for each release-like name."""

    async def first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]: ...

    async def set_first_seen(self, upstream: str, seen: Mapping[str, FirstSeen], as_of: int) -> None:
        """``as_of`` as for ``Names.put``."""
        ...


class Brief(Protocol):
    """Short-lived answers, bounded in number, lost on restart."""

    async def get(self, key: str) -> str | None: ...

    async def set(self, key: str, value: str, seconds: float) -> None: ...

    async def forget(self, key: str) -> None: ...


class Observer(Protocol):
    def __call__(self, event: Event) -> None:
        """Must not raise and must not block."""
        ...
