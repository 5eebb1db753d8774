"""Small blobs kept in memory in front of the disk, least recently used going first. Digests never go stale."""

from contextlib import AbstractAsyncContextManager

from cachetools import LRUCache

from apprproxy.core.model import KIB, Expected
from apprproxy.core.ports import BlobStore, Held, Ingest
from apprproxy.store.held import MemoryHeld

LARGEST = 256 * KIB
"""Larger ones go out by sendfile, which needs the file anyway."""


class HotStore:
    """``memory`` bounds the bytes kept."""

    def __init__(self, behind: BlobStore, memory: int) -> None:
        self._behind = behind
        self._kept: LRUCache[str, MemoryHeld] = LRUCache(memory, getsizeof=lambda held: held.size + KIB)

    async def find(self, expected: Expected) -> Held | None:
        kept = self._kept.get(expected.key)
        if kept is not None:
            return kept
        held = await self._behind.find(expected)
        if held is None or held.size > LARGEST or held.size + KIB > self._kept.maxsize:
            return held
        self._kept[expected.key] = small = MemoryHeld(await held.read(), held.digest)
        return small

    def ingest(self, expected: Expected, source: str) -> AbstractAsyncContextManager[Ingest]:
        return self._behind.ingest(expected, source)
