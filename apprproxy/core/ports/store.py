"""Where bytes and names are kept."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.digest import Digest
from apprproxy.core.model import Contribution, Expected, FirstSeen, Place, Record, Where


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
        """Blocking; fewer bytes only at the end. Raises StoreFailed; what was held is a miss from then on."""
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


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Bytes that another process is filling in. ``parts`` and ``due`` are what it has said of where the first ``size``
    of them come from: more may be there by now, from elsewhere."""

    growing: Readable
    size: int
    parts: tuple[Contribution, ...]
    due: int | None


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
        """Has some of it arrived in the file that all share, in whichever process?"""
        ...

    async def claim(self, expected: Expected, whose: str = "", *, apart: bool = False, anew: bool = False) -> Claim:
        """At most one at a time is given the Partial of a digest; with ``apart`` one of the upstream ``whose`` alone,
        not to wait for whoever has that. Continues what a process left behind. ``anew``: also of what is held."""
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
        """Remember that it may. ``source`` sent the bytes (``owner``, ``mirror-1``; several with commas between), or is
        CLAIMED, which counts for as long as it is ``believed``; empty: it may, whoever sent them."""
        ...

    async def believed(self, where: Where, key: str) -> bool:
        """Is it enough that this repository's owner says that it has these bytes? Where they came from the same
        upstream, to the same account, or from one that answers everybody: anybody may claim to have a digest."""
        ...

    async def link(self, parent: Digest, children: Sequence[Expected], upstream: str = "") -> None:
        """A document and all that it names by digest. Upstreams take turns: one that names thousands holds up only
        those that come of the same ``upstream``."""
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

    async def put(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        """``as_of`` is the upstream's generation in which it was asked: what was asked before a ``written`` is not
        kept, and the answer is False."""
        ...

    async def drop(self, upstream: str, key: str, as_of: int) -> None:
        """Its owner says that there is none; ``as_of`` as for ``put``."""
        ...

    async def written(
        self,
        upstream: str,
        repository: str,
        changed: Collection[str] = (),
        pushed: Mapping[str, Digest] | None = None,
        through: Place | None = None,
    ) -> None:
        """The upstream has taken a write: in every process at once, the keys that it ``changed`` are forgotten, and all
        other names of the repository, and the lists it may stand in, are doubtful. To each title is added what was
        ``pushed`` for it, also where it is seen only later; where that was pushed ``through`` a view, it is forgotten
        which names of it members behind this one had there."""
        ...

    def generation(self, of: str = "") -> int:
        """Another number after all that is ``written``, purged or accepted, by whichever process: of names of this
        upstream, or through this view; or of any at all."""
        ...

    async def owner(self, view: str, key: str) -> str | None:
        """The member of the view that had this name."""
        ...

    async def set_owner(self, view: str, key: str, upstream: str, as_of: int) -> None:
        """``as_of`` is the view's generation: whose it is may have been forgotten while somebody else was asked."""
        ...


class NotedNames(Names, Protocol):
    async def note(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        """As ``put``, but lost on restart and bounded in number, unless there is a record of it already; nor is it
        written down then whose it is."""
        ...

    async def put_some(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        """As ``put`` for so many of a kind and a repository in the life of this process, and as ``note`` for more."""
        ...


class FirstSeens(Protocol):
    """The first digest seen for each release-like name."""

    async def first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]: ...

    async def set_first_seen(
        self, upstream: str, seen: Mapping[str, FirstSeen], as_of: int, new: Collection[str] = ()
    ) -> bool:
        """``as_of`` as for ``Names.put``. ``new`` are those of which nothing was seen when this was decided. Where one
        of them is there by now, by whichever process, that stands, the others are set, and the answer is False."""
        ...


Unpacks = Callable[[Callable[[], bytes]], Awaitable[Digest | None]]
"""Calls it in a thread, as it may be large, and gives the digest of the tar inside the gzip file that it returns; None
where it returns none."""


class Brief(Protocol):
    """Short-lived answers, bounded in number, lost on restart."""

    async def get(self, key: str) -> str | None: ...

    async def set(self, key: str, value: str, seconds: float) -> None: ...

    async def forget(self, key: str) -> None: ...
