"""Bytes on their way in: written to a growing file, hashed as they are written, judged, made durable, then visible.

- Hashing and writing leave the event loop in pieces of ``PIECE`` bytes, one at a time and in order, while the next
  piece arrives. Packages are unpacked elsewhere, in their turn.
- Room is reserved before a byte is written, for about as much as has come: an announcement alone evicts nothing.
- The descriptor is closed by whoever uses it last, which after a cancellation is a thread: closed under it, its number
  would be given to the next file, and the late write would land there.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, Lied, NoRoom, OtherSize, StoreFailed
from apprproxy.core.model import KIB, MAX_PACKED, MIB, Expected
from apprproxy.core.ports.store import Held
from apprproxy.store.blobs.cap import Cap
from apprproxy.store.blobs.held import FileHeld
from apprproxy.store.blobs.part import OpenPart, blob_path, held_content, link_unpacked
from apprproxy.store.blobs.unpacking import digest_sent, hashing, unpacking
from apprproxy.store.calls import on_loop
from apprproxy.store.directory.owner import trouble
from apprproxy.store.directory.relief import FULL, NO_FILES, lacks_files
from apprproxy.store.directory.whole import sync_directory

PIECE = 512 * KIB
EAGER = 128 * KIB
"""Handed over at once while the thread has nothing to do, for those who read along with a slow source."""

STEP = 64 * MIB
"""Reserved at a time at the most."""
FIRST_STEP = MIB


@dataclass(frozen=True, slots=True)
class Yard:
    """Where ingests work: the cache's directory, threads for what blocks, and the cap. ``max_blob`` in bytes.
    ``identities`` of upstreams, by name: what another one has left under the same name is nobody's."""

    root: Path
    threads: Executor
    cap: Cap
    max_blob: int
    identities: Mapping[str, str]


class DiskIngest:
    """``part`` is the ingest's own from here on. ``source`` and ``due`` may be told anew before each source's bytes;
    ``grown`` is called on the event loop whenever more is in the file."""

    def __init__(self, part: OpenPart, yard: Yard, expected: Expected, source: str = "") -> None:
        self._part = part
        self._yard = yard
        self._expected = expected
        self._work: Future[None] | None = None
        self._pending = bytearray()
        self._reserved = 0
        self._written = 0
        self._held: FileHeld | None = None
        self._published = False
        self.source = source
        self.due = expected.size
        self.size = os.fstat(part.fd).st_size
        self._known = not self.size
        self.grown: Callable[[], None] | None = None

    @property
    def limit(self) -> int:
        most = self._yard.max_blob
        return self.due if self.due is not None else min(most, MAX_PACKED) if self._expected.unpacked else most

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.limit:
            raise OtherSize(self.source, f"sent more than the {self.limit} bytes that are due")
        self._pending += chunk
        idle = self._work is None or self._work.done()
        if len(self._pending) >= (EAGER if idle else PIECE):
            await self.flush()

    async def flush(self) -> None:
        """Hand what has come to the thread, once that has done what it was given before."""
        await self._settled()
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            working = self._begin(self._append, pending)  # not a copy: nobody else has it
            if self.grown is not None:
                working.add_done_callback(on_loop(self.grown))

    def _begin(self, call: Callable[..., None], *args: Any) -> Future[None]:
        self._work = self._yard.threads.submit(call, *args)
        return self._work

    async def _settled(self) -> None:
        """Until the thread has done what it was given; raises what it raised. It is done also where the caller has
        gone: whoever comes next goes on behind it."""
        if self._work is not None:
            working = asyncio.wrap_future(self._work)
            working.add_done_callback(lambda done: done.cancelled() or done.exception())  # it is heard of below
            await asyncio.wait([working])
            del working  # it has the failure as well, whose call this is
            self._work.result()
            self._work = None

    async def look(self) -> None:
        """Hash anew what lay there before, once: when a source that wants to go on with it has its turn."""
        if not self._known:
            await self._settled()
            self._work = await hashing.begun(self.source, self._told, self._part.rehash, hashing.next_piece)
            await self._settled()
            self._known = True

    async def run(self, call: Callable[..., None], *args: Any) -> None:
        """In the thread, in its turn: whoever leaves meanwhile waits until it is done. Raises StoreFailed."""
        await self.drain()
        self._begin(self._told, call, *args)
        await self._settled()

    def _told(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except OSError as error:
            raise disk_failed(error, self._yard, self._written) from error

    async def drain(self) -> None:
        """Until all that was taken is in the file."""
        await self.flush()
        await self._settled()

    def _append(self, piece: bytes | bytearray) -> None:
        check = self._part.check
        self._reserve(check.size + len(piece))
        check.update(piece)
        try:
            view = memoryview(piece)
            while view:
                taken = os.write(self._part.fd, view)
                view, self._written = view[taken:], self._written + taken
        except OSError as error:
            raise disk_failed(error, self._yard, self._written) from error

    def _reserve(self, total: int) -> None:
        if total > self._reserved:
            self._reserved = min(total + min(max(total, FIRST_STEP), STEP), max(total, self.limit))
            self._yard.cap.reserve(self._part.path.name, self._reserved, self.due)

    async def verify(self) -> Held:
        if self._held is None:
            await self.look()
            await self.drain()
            if self._expected.unpacked is not None:
                self._work = await unpacking.begun(self.source, self._judge_unpacked, self._expected.unpacked)
                try:
                    await self._settled()
                except Lied:  # of what is there: that goes on from where it is
                    self._work = None
                    raise
            else:
                assert self._expected.content is not None
                self._judge(self._expected.content, self._part.check.digest())
            if self.due is not None and self.size != self.due:
                raise OtherSize(self.source, f"sent {self.size} bytes where {self.due} are due")
            self._held = self._opened()
        return self._held

    def _opened(self) -> FileHeld:
        """Raises StoreFailed where there is no descriptor left: as what cannot be kept."""
        try:
            return FileHeld(os.dup(self._part.fd), self._part.check.digest())
        except OSError as error:
            raise disk_failed(error, self._yard) from error

    def _judge(self, expected: Digest, got: Digest) -> None:
        if got != expected:
            raise DigestMismatch(self.source, expected, got)

    def _judge_unpacked(self, expected: Digest) -> None:
        fd = self._part.fd
        self._judge(expected, digest_sent(self.source, lambda at, size: os.pread(fd, size, at), expected.algorithm))

    async def commit(self) -> Held:
        held = await self.verify()
        self._begin(self._publish, held.digest)
        await self._settled()
        return held

    def _publish(self, digest: Digest) -> None:
        """Not where a package of that tar is here, packed in another way: nobody would be led to this one, and what is
        known of who may see the tar would go with whichever of both goes."""
        target = blob_path(self._yard.root, digest)
        path = self._part.path
        try:
            tar = self._expected.unpacked
            if tar is not None and held_content(self._yard.root, tar) not in (None, digest):
                self._let_go(keep=False)
                self._published = True
                return
            os.fsync(self._part.fd)
            self._yard.cap.keep(path.name, digest, self.size, self._expected.unpacked)
            if self._expected.unpacked is not None:  # first, or for a moment neither it nor a partial is there
                link_unpacked(self._yard.root, self._expected.unpacked, target, path.with_suffix(".link"))
            os.replace(path, target)
            self._published = True
            self._part.sidecar.unlink(missing_ok=True)
            with suppress(StoreFailed):  # counted twice for a while is no harm
                self._yard.cap.release(path.name)
            os.fchmod(self._part.fd, 0o444)  # not before: nobody but root could open it to continue it, or see its lock
            sync_directory(target.parent)
        except OSError as error:
            raise disk_failed(error, self._yard, self._written) from error

    async def leave(self, *, keep: bool) -> None:
        """Close, as soon as no thread is at work on it. What has not been published is removed, or with ``keep``
        stays for whoever continues. Done even if the caller is cancelled meanwhile."""
        rest, self._pending = bytes(self._pending), bytearray()
        before, after = self._work, self._yard.threads.submit
        self._work = self._held = self.grown = None  # a failure may hold this in a cycle, and with it the disk's room
        if before is not None and (keep or not before.cancel()):
            closed: Future[None] = Future()
            before.add_done_callback(lambda done: _chain(after(self._close, _rest(done, rest), keep=keep), closed))
        else:
            closed = after(self._close, rest, keep=keep)
        await asyncio.shield(asyncio.wrap_future(closed))

    def _close(self, rest: bytes, *, keep: bool) -> None:
        try:
            if keep and rest and not self._published:
                with suppress(StoreFailed):  # what is there is right all the same
                    self._append(rest)
            if not self._published:
                self._let_go(keep=keep)
        finally:
            self._part.close()

    def _let_go(self, *, keep: bool) -> None:
        with suppress(StoreFailed):  # the index may be away: what is not told it finds out by itself
            if keep and (there := os.fstat(self._part.fd).st_size):
                self._yard.cap.shrink(self._part.path.name, there)
            else:
                self._part.remove()
                self._yard.cap.release(self._part.path.name)


def _rest(done: Future[None], rest: bytes) -> bytes:
    """Nothing may follow a piece that was not written."""
    return rest if not done.cancelled() and done.exception() is None else b""


def _chain(done: Future[None], told: Future[None]) -> None:
    done.add_done_callback(lambda _: told.set_result(None))


def disk_failed(error: OSError, yard: Yard, written: int = 0) -> StoreFailed:
    """What it means; where the disk is full, something is asked to go. Blocking."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return StoreFailed(trouble(error))
    files = lacks_files(yard.root)
    with suppress(StoreFailed):
        yard.cap.relieve(written, files=files)
    return NoRoom(NO_FILES if files else FULL)
