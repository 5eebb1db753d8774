"""Blobs by digest in an OCI image layout. A visible file is a right file, after any crash."""

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Stored
from apprproxy.core.model import Expected
from apprproxy.core.ports import Held, Ingest, Observer
from apprproxy.store.held import FileHeld
from apprproxy.store.ingest import DiskIngest, linked_content

WRITERS = 8
"""Threads that write and hash: one file keeps at most one of them busy."""

HALF_MADE = 3600.0
"""Seconds. A link is renamed at once after it is made, so one of this age was left by a killed process."""


class DiskStore:
    """The file system is the truth: ``find`` opens the file, and a file that is not there is a miss. ``close`` it."""

    def __init__(self, root: Path, observer: Observer, max_blob: int) -> None:
        self._root = root
        self._observer = observer
        self._max_blob = max_blob
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="ingest")

    async def find(self, expected: Expected) -> Held | None:
        return await asyncio.to_thread(self._open, expected)

    def _open(self, expected: Expected) -> Held | None:
        try:
            digest = expected.content or linked_content(self._root, expected.digest)
            if digest is None:
                return None
            path = self._root / "blobs" / digest.algorithm / digest.hex
            return FileHeld(os.open(path, os.O_RDONLY | os.O_CLOEXEC), digest)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(f"the cache cannot be read: {error.strerror}") from error

    @asynccontextmanager
    async def ingest(self, expected: Expected, source: str) -> AsyncIterator[Ingest]:
        path = self._root / "ingest" / f"{secrets.token_hex(16)}.part"
        try:
            ingest = DiskIngest(path, self._root, expected, source, self._max_blob, self._threads)
        except OSError as error:
            raise StoreFailed(f"the cache cannot be written: {error.strerror}") from error
        counting = _Counting(ingest, self._observer)
        try:
            yield counting
        finally:
            ingest.discard()

    def close(self) -> None:
        """Wait until what is being written is written. Blocking."""
        self._threads.shutdown()

    def sweep(self) -> int:
        """Remove what killed processes left in ``ingest/``; returns how many files. Blocking.

        A file that a living process writes is locked by it, and stays; links cannot be locked, so that young ones stay.
        """
        return sum(_abandoned(path) for path in (self._root / "ingest").iterdir())

    def count(self) -> tuple[int, int]:
        """How many blobs are held, and their bytes. Blocking: a scan."""
        blobs, size = 0, 0
        for algorithm in ("sha256", "sha512"):
            with os.scandir(self._root / "blobs" / algorithm) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # removed while we count
                        size += entry.stat().st_size
                        blobs += 1
        return blobs, size


def _abandoned(path: Path) -> bool:
    """Remove the file if nobody holds its lock; says whether it did."""
    try:
        if path.is_symlink():
            return _too_old(path)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _too_old(link: Path) -> bool:
    """Remove a link that somebody was about to put into its place; says whether it did."""
    if time.time() - link.lstat().st_mtime < HALF_MADE:
        return False
    link.unlink(missing_ok=True)
    return True


class _Counting:
    """Says Stored once bytes have become visible that were not held before."""

    def __init__(self, ingest: DiskIngest, observer: Observer) -> None:
        self._ingest = ingest
        self._observer = observer
        self.write = ingest.write
        self.verify = ingest.verify

    async def commit(self) -> Held:
        held = await self._ingest.commit()
        if self._ingest.new:
            self._observer(Stored(held.size))
        return held
