"""Verified bytes that can be read: in a file, or in memory."""

import asyncio
import os

from apprproxy.core.digest import Digest


class FileHeld:
    """Owns a descriptor. It is shared by everyone who waited for the bytes, so it goes with the last reference; the
    file may be unlinked meanwhile and stays readable."""

    __slots__ = ("_fd", "digest", "size")

    def __init__(self, fd: int, digest: Digest) -> None:
        self._fd = fd
        self.digest = digest
        self.size = os.fstat(fd).st_size

    def fileno(self) -> int | None:
        return self._fd

    def pread(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, count, offset)

    async def read(self) -> bytes:
        return await asyncio.to_thread(self.pread, 0, self.size)

    def __del__(self) -> None:
        os.close(self._fd)


class MemoryHeld:
    __slots__ = ("_content", "digest", "size")

    def __init__(self, content: bytes, digest: Digest) -> None:
        self._content = content
        self.digest = digest
        self.size = len(content)

    def fileno(self) -> int | None:
        return None

    def pread(self, offset: int, count: int) -> bytes:
        return self._content[offset : offset + count]

    async def read(self) -> bytes:
        return self._content
