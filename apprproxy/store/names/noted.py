"""Names of which some are remembered only: whoever makes up ever new ones must not fill the disk, and make starts slow.

A registry has an empty list for whatever it is asked by, and a release a thousand ranges that lead to it, of which each
would be a record for good.
"""

from collections.abc import Collection, Mapping

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.model import Place, Record
from apprproxy.core.ports.store import Names

REMEMBERED = 10_000
"""As many as there are authoritative *no*s in memory; those that were asked for last."""
WRITTEN = 256
"""Names of a repository that anybody may spell in other ways; who means it honestly has some dozens."""


class NamesWithNotes:
    """Implements NotedNames, above ``names``."""

    def __init__(self, names: Names, remembered: int = REMEMBERED, written: int = WRITTEN) -> None:
        self._names = names
        self._most = written
        self._written: LRUCache[tuple[str, str], int] = LRUCache(remembered)
        self._notes: LRUCache[tuple[str, str], tuple[int, Record]] = LRUCache(remembered)

    async def get(self, upstream: str, key: str) -> Record | None:
        return self._noted(upstream, key) or await self._names.get(upstream, key)

    async def note(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        if await self._names.get(upstream, key) is not None:
            return await self.put(upstream, key, record, as_of)
        self._notes[upstream, key] = as_of, record
        return as_of == self.generation(upstream)

    async def put_some(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        alike = upstream, key.rpartition(" ")[0]
        if self._written.get(alike, 0) >= self._most:
            return await self.note(upstream, key, record, as_of)
        is_new = await self._names.get(upstream, key) is None
        written = await self.put(upstream, key, record, as_of)
        if is_new and written:
            self._written[alike] = self._written.get(alike, 0) + 1
        return written

    async def put(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        written = await self._names.put(upstream, key, record, as_of)
        self._notes.pop((upstream, key), None)
        return written

    async def drop(self, upstream: str, key: str, as_of: int) -> None:
        if self._notes.pop((upstream, key), None) is None or await self._names.get(upstream, key) is not None:
            await self._names.drop(upstream, key, as_of)

    async def written(
        self,
        upstream: str,
        repository: str,
        changed: Collection[str] = (),
        pushed: Mapping[str, Digest] | None = None,
        through: Place | None = None,
    ) -> None:
        await self._names.written(upstream, repository, changed, pushed, through)

    def generation(self, of: str = "") -> int:
        return self._names.generation(of)

    async def owner(self, view: str, key: str) -> str | None:
        return await self._names.owner(view, key)

    async def set_owner(self, view: str, key: str, upstream: str, as_of: int) -> None:
        if self._noted(upstream, key) is None:
            await self._names.set_owner(view, key, upstream, as_of)

    def _noted(self, upstream: str, key: str) -> Record | None:
        as_of, record = self._notes.get((upstream, key), (-1, None))
        return record if as_of == self.generation(upstream) else None
