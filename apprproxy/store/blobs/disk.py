"""Blobs by digest in an OCI image layout. A visible file is a right file, after any crash."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Observer
from apprproxy.core.model import Expected
from apprproxy.core.ports.store import Claim, Elsewhere, Held, Ingest
from apprproxy.core.ports.store import Partial as AnyPartial
from apprproxy.store.blobs.cap import Cap
from apprproxy.store.blobs.held import FileHeld
from apprproxy.store.blobs.ingest import DiskIngest, Yard, disk_failed
from apprproxy.store.blobs.opened import Opening
from apprproxy.store.blobs.part import OpenPart, linked_content, new_part
from apprproxy.store.blobs.partial import Partial, claim, has_some, part_name
from apprproxy.store.blobs.unkept import Unkept
from apprproxy.store.directory.locked import removed
from apprproxy.store.threads import begin_threads

WRITERS = 8
"""Threads that write and hash: one file keeps at most one of them busy."""

CLAIMS = 4
"""Threads that look for partials: apart, so that writing goes on meanwhile."""

HALF_MADE = 3600.0
"""Seconds. A link is renamed at once after it is made, so one of this age was left by a killed process."""

T = TypeVar("T")


class DiskStore:
    """The file system is the truth: ``find`` opens the file, and one that is not there, or not as it was kept, is a
    miss. ``close`` it."""

    def __init__(
        self,
        root: Path,
        observer: Observer,
        cap: Cap,
        max_blob: int,
        identities: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._root = root
        self._threads = begin_threads(WRITERS, "ingest")
        self._claims = begin_threads(CLAIMS, "claim")
        self._opening = Opening(root, cap, observer)
        self._yard = Yard(root, self._threads, cap, max_blob, identities)

    async def find(self, expected: Expected) -> Held | None:
        return await asyncio.to_thread(self.find_here, expected)

    def find_here(self, expected: Expected) -> FileHeld | None:
        """``find``, for threads. Blocking."""
        try:
            return self._open(expected)
        except OSError as error:
            raise StoreFailed(f"the cache cannot be read: {error.strerror}") from error

    def _open(self, expected: Expected) -> FileHeld | None:
        digest = expected.content or linked_content(self._root, expected.digest)
        if digest is None:
            return None
        return self._opening(digest)

    @asynccontextmanager
    async def ingest(self, expected: Expected, source: str) -> AsyncIterator[Ingest]:
        algorithm = expected.content.algorithm if expected.content else "sha256"
        part = await self._run(self._threads, _drop_part, new_part, self._root / "ingest", algorithm)
        ingest = DiskIngest(part, self._yard, expected, source)
        try:
            yield ingest
        finally:
            await ingest.leave(keep=False)

    async def begun(self, expected: Expected) -> bool:
        return await asyncio.to_thread(has_some, self._root / "ingest" / part_name(expected))

    async def claim(self, expected: Expected, whose: str = "", *, apart: bool = False, anew: bool = False) -> Claim:
        find = _nothing if anew else self._open
        match await self._run(self._claims, _drop_claim, claim, self._yard, expected, (whose, apart), find):
            case FileHeld() as held:
                return Claim(held=held)
            case Elsewhere() as elsewhere:
                return Claim(elsewhere=elsewhere)
            case Partial() as partial:
                return Claim(partial=partial)

    def unkept(self, expected: Expected) -> AnyPartial:
        return Unkept(expected)

    async def _run(self, threads: Executor, drop: Callable[[T], None], call: Callable[..., T], *args: object) -> T:
        """``drop`` is given what nobody is left to take: a lock that was lost would be held for ever."""
        future = threads.submit(call, *args)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: None if done.cancelled() or done.exception() else drop(done.result()))
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise await asyncio.to_thread(disk_failed, error, self._yard) from error
            where = f": {Path(error.filename).name}" if error.filename else ""
            raise StoreFailed(f"the cache cannot be written: {error.strerror}{where}") from error

    def close(self) -> None:
        """Wait until what is being written is written. Blocking."""
        self._claims.shutdown()
        self._threads.shutdown()

    def sweep(self) -> int:
        """Remove what killed processes left in ``ingest/`` that nobody can continue; returns how many files. Blocking.

        A file that a living process writes is locked by it, and stays; links and sidecars are not: young ones stay.
        What cannot be removed stays as well. Raises StoreFailed where nobody may look.
        """
        try:
            return sum(_abandoned(path) for path in (self._root / "ingest").iterdir() if not _may_be_continued(path))
        except OSError as error:
            raise StoreFailed(f"the cache cannot be used: {error.strerror}: ingest") from error


def _nothing(_: Expected) -> None:
    return None


def _drop_part(part: OpenPart) -> None:
    part.remove()
    part.close()


def _drop_claim(claimed: FileHeld | Elsewhere | Partial) -> None:
    if isinstance(claimed, Partial):
        claimed.drop()


def _may_be_continued(path: Path) -> bool:
    """A partial by digest, with its sidecar: the index knows of these, and removes them when their time has come."""
    both = (path.with_suffix(".part"), path.with_suffix(".json"))
    return "-" in path.stem and path in both and all(one.exists() for one in both)


def _abandoned(path: Path) -> bool:
    """Remove the file if nobody holds its lock; says whether it did."""
    with suppress(OSError):  # nobody's here to remove
        if path.is_symlink() or path.suffix == ".new":
            return _too_old(path)
        return removed(path)
    return False


def _too_old(path: Path) -> bool:
    """Remove a link or a sidecar that somebody was about to put into its place; says whether it did."""
    if time.time() - path.lstat().st_mtime < HALF_MADE:
        return False
    path.unlink(missing_ok=True)
    return True
