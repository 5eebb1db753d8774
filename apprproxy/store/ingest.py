"""Bytes on their way in: written to a growing file, hashed as they are written, judged, made durable, then visible.

- Hashing and writing leave the event loop in pieces of ``PIECE`` bytes, one at a time and in order, while the next
  piece arrives.
- The descriptor is closed by whoever uses it last, which after a cancellation is a thread: closed under it, its number
  would be given to the next file, and the late write would land there.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from apprproxy.core.digest import Check, Digest, MalformedDigest
from apprproxy.core.errors import DigestMismatch, Lied, StoreFailed
from apprproxy.core.model import KIB, MAX_PACKED, Expected
from apprproxy.core.ports import Held
from apprproxy.store.held import FileHeld
from apprproxy.store.unpacked import NotGzip, unpacked_digest

PIECE = 512 * KIB


class DiskIngest:
    """``path`` is the new file's own; ``threads`` do what blocks."""

    def __init__(
        self, path: Path, root: Path, expected: Expected, source: str, max_size: int, threads: Executor
    ) -> None:
        self._threads = threads
        self._work: Future[None] | None = None
        self._path = path
        self._root = root
        self._expected = expected
        self._source = source
        self._max_size = min(max_size, MAX_PACKED) if expected.unpacked else max_size
        self._fd = _locked(path)
        self.new = False
        self._check = Check(expected.content.algorithm if expected.content else "sha256")
        self._pending = bytearray()
        self._size = 0
        self._held: FileHeld | None = None

    async def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        limit = self._max_size if self._expected.size is None else self._expected.size
        if self._size > limit:
            raise Lied(self._source, f"sent more than the {limit} bytes that are due")
        self._pending += chunk
        if len(self._pending) >= PIECE:
            await self._flush()

    async def _flush(self) -> None:
        await self._settled()
        pending, self._pending = self._pending, bytearray()
        self._begin(self._append, bytes(pending))

    def _begin(self, call: Callable[..., None], *args: Any) -> None:
        self._work = self._threads.submit(call, *args)

    async def _settled(self) -> None:
        """Until the thread has done what it was given; raises what it raised."""
        if self._work is not None:
            await asyncio.wrap_future(self._work)
            self._work = None

    def _append(self, piece: bytes) -> None:
        self._check.update(piece)
        try:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise _failed(error) from error

    async def verify(self) -> Held:
        if self._held is None:
            if self._pending:
                await self._flush()
            await self._settled()
            if self._expected.unpacked is not None:
                self._begin(self._judge_unpacked, self._expected.unpacked)
                await self._settled()
            else:
                assert self._expected.content is not None
                self._judge(self._expected.content, self._check.digest())
            if self._expected.size is not None and self._size != self._expected.size:
                raise Lied(self._source, f"sent {self._size} bytes where {self._expected.size} are due")
            self._held = FileHeld(os.dup(self._fd), self._check.digest())
        return self._held

    def _judge(self, expected: Digest, got: Digest) -> None:
        if got != expected:
            raise DigestMismatch(self._source, expected, got)

    def _judge_unpacked(self, expected: Digest) -> None:
        try:
            got = unpacked_digest(lambda offset, count: os.pread(self._fd, count, offset), expected.algorithm)
        except NotGzip as error:
            raise Lied(self._source, f"sent what is no package: {error}") from error
        self._judge(expected, got)

    async def commit(self) -> Held:
        held = await self.verify()
        self._begin(self._publish, held.digest)
        await self._settled()
        return held

    def _publish(self, digest: Digest) -> None:
        target = self._root / "blobs" / digest.algorithm / digest.hex
        try:
            os.fchmod(self._fd, 0o444)
            os.fsync(self._fd)
            self.new = not target.exists()
            os.replace(self._path, target)
            sync_directory(target.parent)
            if self._expected.unpacked is not None:
                self._link(self._expected.unpacked, target)
        except OSError as error:
            raise _failed(error) from error

    def _link(self, unpacked: Digest, target: Path) -> None:
        """The first content digest seen for a tar is kept, as long as its bytes are."""
        first = linked_content(self._root, unpacked)
        if first is not None and (self._root / "blobs" / first.algorithm / first.hex).exists():
            return
        link = self._root / "unpacked" / unpacked.algorithm / unpacked.hex
        part = self._path.with_suffix(".link")
        os.symlink(os.path.relpath(target, link.parent), part)
        os.replace(part, link)
        sync_directory(link.parent)

    def discard(self) -> None:
        """Close, and remove what has not been published, as soon as no thread is at work on it."""
        if self._work is None or self._work.cancel():
            self._close()
        else:
            self._work.add_done_callback(lambda _: self._close())

    def _close(self) -> None:
        os.close(self._fd)
        self._path.unlink(missing_ok=True)


def linked_content(root: Path, unpacked: Digest) -> Digest | None:
    """The content digest kept for a tar; None where there is none, or what is there is no name of a blob."""
    try:
        target = os.readlink(root / "unpacked" / unpacked.algorithm / unpacked.hex)
        return Digest("sha256", target.rpartition("/")[2])
    except (OSError, MalformedDigest):
        return None


def _locked(path: Path) -> int:
    """A new file, locked: that says that somebody writes here, until the process ends."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # another process took it for abandoned before it was locked


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _failed(error: OSError) -> StoreFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFailed("the cache's disk is full: free space, or move cache.directory")
    return StoreFailed(f"the cache's disk failed: {error.strerror}")
