"""Bytes that can be read: verified ones in a file or in memory, and those of a file that is still growing."""

import asyncio
import os
from collections.abc import Callable

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed

Unreadable = Callable[[int, OSError], None]
"""Told of a descriptor that could not be read. Blocking."""


class _File:
    """Owns a descriptor. It is shared by everyone who waited for the bytes, so it goes with the last reference; the
    file may be unlinked meanwhile and stays readable."""

    __slots__ = ("_fd", "identity")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        there = os.fstat(fd)
        self.identity: object = (there.st_dev, there.st_ino)

    def fileno(self) -> int | None:
        return self._fd

    def pread(self, offset: int, count: int) -> bytes:
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            self._failed(error)
            raise StoreFailed(f"the cache cannot be read: {error.strerror}") from error

    def _failed(self, error: OSError) -> None:
        """A file of our own that grows is somebody's to give up."""

    def __del__(self) -> None:
        os.close(self._fd)


class FileHeld(_File):
    """``unreadable`` is told where the disk does not give what it has, which may be long after it was opened."""

    __slots__ = ("_unreadable", "digest", "size")

    def __init__(self, fd: int, digest: Digest, unreadable: Unreadable = lambda _, __: None) -> None:
        super().__init__(fd)
        self.digest = digest
        self.size = os.fstat(fd).st_size
        self._unreadable = unreadable

    def _failed(self, error: OSError) -> None:
        self._unreadable(self._fd, error)

    async def read(self) -> bytes:
        return await asyncio.to_thread(self.pread, 0, self.size)


class GrowingFile(_File):
    """Somebody appends to it; nothing is verified. It is never written here."""

    __slots__ = ()

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size


class MemoryHeld:
    __slots__ = ("_content", "digest", "identity", "size")

    def __init__(self, content: bytes, digest: Digest) -> None:
        self._content = content
        self.digest = digest
        self.size = len(content)
        self.identity: object = object()

    def fileno(self) -> int | None:
        return None

    def pread(self, offset: int, count: int) -> bytes:
        return self._content[offset : offset + count]

    async def read(self) -> bytes:
        return self._content
