"""The catalogs of a view's members, merged once for everybody who pages through them, and written once for all who are
sent the whole.

A catalog may have 100,000 names and be asked for by the hundred: parsing and sorting it anew for each page would take
longer than the page, and many at once more memory than the process has.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.face.large import Large
from apprproxy.face.surveyed import Surveyed
from apprproxy.gateway.gate import Admits
from apprproxy.oci.merge import merged_catalogs

MAX_NAMES = 400_000
"""In memory over all merged lists, of about a hundred bytes each."""

Key = tuple[tuple[str, Digest], ...]


class Catalogs:
    """``admits`` must say the same for as long as this lives."""

    def __init__(self, admits: Admits, large: Large) -> None:
        self._admits = admits
        self._large = large
        self._merged: LRUCache[Key, tuple[str, ...]] = LRUCache(MAX_NAMES, getsizeof=_weight)

    async def merged(self, view: str, lists: Surveyed) -> tuple[str, ...]:
        """One sorted list of all that the members said, without what the rules on names take from each. Raises
        Crowded."""
        names = self._merged.get(lists.key)
        if names is None:
            names = await self._large.aside(
                view,
                ("catalog", lists.key),
                lambda: merged_catalogs(lists.contents(), self._admits),
                lambda merged: self._merged.__setitem__(lists.key, merged),
            )
        return names

    @asynccontextmanager
    async def whole(self, view: str, lists: Surveyed) -> AsyncIterator[bytes]:
        """All of it, as it is sent; raises Crowded."""
        names = await self.merged(view, lists)
        async with self._large.body(view, ("catalog", lists.key), lists.size, lambda: written(names)) as body:
            yield body


def written(names: tuple[str, ...] | list[str]) -> bytes:
    return orjson.dumps({"repositories": names})


def _weight(names: tuple[str, ...]) -> int:
    """An empty list has a place too, and one that is larger than all that are kept is kept alone: it would be merged
    anew for each page."""
    return min(len(names) + 1, MAX_NAMES)
