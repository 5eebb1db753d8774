"""Small blobs kept in memory in front of the disk, least recently used going first. Digests never go stale; they may be
purged, which every process sees by the generation that all share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from cachetools import LRUCache

from apprproxy.core.model import KIB, Expected
from apprproxy.core.ports.store import BlobStore, Claim, Held, Ingest, Partial
from apprproxy.store.blobs.held import MemoryHeld

LARGEST = 256 * KIB
"""Larger ones go out by sendfile, which needs the file anyway."""


class HotStore:
    """``memory`` bounds the bytes kept. ``generation`` is read on every hit."""

    def __init__(self, behind: BlobStore, memory: int, generation: Callable[[], int]) -> None:
        self._behind = behind
        self._generation = generation
        self._seen = generation()
        self._kept: LRUCache[str, MemoryHeld] = LRUCache(memory, getsizeof=lambda held: held.size + KIB)

    async def find(self, expected: Expected) -> Held | None:
        generation = self._generation()
        if generation != self._seen:
            self._kept.clear()
            self._seen = generation
        kept = self._kept.get(expected.key)
        if kept is not None:
            return kept
        held = await self._behind.find(expected)
        if held is None or held.size > LARGEST or held.size + KIB > self._kept.maxsize:
            return held
        small = MemoryHeld(await held.read(), held.digest)
        if generation == self._generation() == self._seen:
            self._kept[expected.key] = small
        return small

    def ingest(self, expected: Expected, source: str) -> AbstractAsyncContextManager[Ingest]:
        return self._behind.ingest(expected, source)

    async def begun(self, expected: Expected) -> bool:
        return await self._behind.begun(expected)

    async def claim(self, expected: Expected, whose: str = "", *, apart: bool = False, anew: bool = False) -> Claim:
        return await self._behind.claim(expected, whose, apart=apart, anew=anew)

    def unkept(self, expected: Expected) -> Partial:
        return self._behind.unkept(expected)
