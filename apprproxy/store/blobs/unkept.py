"""Bytes that cannot be kept, verified in memory: a full disk must not break a pull."""

import asyncio
from collections.abc import Callable

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, OtherSize
from apprproxy.core.label import Label
from apprproxy.core.model import MAX_PACKED, Contribution, Expected
from apprproxy.core.ports.store import Held, Readable
from apprproxy.store.blobs.held import MemoryHeld
from apprproxy.store.blobs.partial import begun
from apprproxy.store.blobs.unpacking import digest_sent, unpacking


class Unkept:
    """Implements Partial. Nobody reads along: ``growing`` stays empty."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._content = bytearray()
        self._source = ""
        self._due = expected.size
        self.parts: tuple[Contribution, ...] = ()
        self.growing: Readable = MemoryHeld(b"", Digest.of(b""))

    @property
    def size(self) -> int:
        return len(self._content)

    def watch(self, grown: Callable[[], None]) -> None:
        """Never: nobody reads along."""

    async def begins(self, upstream: str, source: str, due: int | None) -> None:
        self._source, self._due = Label(upstream, source).name, due
        self.parts = (*begun(self.parts, self.size), Contribution(upstream, source, self.size))

    async def write(self, chunk: bytes) -> None:
        limit = min(MAX_PACKED, MAX_PACKED if self._due is None else self._due)
        if self.size + len(chunk) > limit:
            raise OtherSize(self._source, f"sent more than the {limit} bytes that are due")
        self._content += chunk

    async def verify(self) -> Held:
        content = bytes(self._content)
        if self._expected.unpacked is not None:
            got = await asyncio.wrap_future(await unpacking.begun(self._source, self._judged, content))
        else:
            got = await asyncio.to_thread(self._judged, content)
        if self._due is not None and self.size != self._due:
            raise OtherSize(self._source, f"sent {self.size} bytes where {self._due} are due")
        return MemoryHeld(content, got)

    def _judged(self, content: bytes) -> Digest:
        expected = self._expected.digest
        if self._expected.content is not None:
            got = Digest.of(content, expected.algorithm)
        else:
            got = digest_sent(self._source, lambda at, size: content[at : at + size], expected.algorithm)
        if got != expected:
            raise DigestMismatch(self._source, expected, got)
        return got if self._expected.content is not None else Digest.of(content)

    async def commit(self) -> Held:
        return await self.verify()

    async def leave(self, *, keep: bool) -> None:
        self._content.clear()
