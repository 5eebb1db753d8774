"""The catalogs of a view's members, merged once for everybody who pages through them.

A catalog may have 100,000 names and be asked for by the hundred: parsing and sorting it anew for each page would take
longer than the page, and many at once more memory than the process has.
"""

import asyncio

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.face.surveyed import Surveyed
from apprproxy.oci.merge import Admits, merged_catalogs

MAX_NAMES = 400_000
"""In memory over all merged lists, of about a hundred bytes each."""

Key = tuple[tuple[str, Digest], ...]


class Catalogs:
    """``admits`` must say the same for as long as this lives."""

    def __init__(self, admits: Admits) -> None:
        self._admits = admits
        self._merged: LRUCache[Key, tuple[str, ...]] = LRUCache(MAX_NAMES, getsizeof=_weight)
        self._one_at_a_time = asyncio.Lock()

    async def merged(self, lists: Surveyed) -> tuple[str, ...]:
        """One sorted list of all that the members said, without what the rules on names take from each."""
        key = tuple((member, named.document.digest) for member, named in lists.said)
        names = self._merged.get(key)
        if names is not None:
            return names
        async with self._one_at_a_time:
            names = self._merged.get(key)
            if names is None:
                names = await asyncio.to_thread(merged_catalogs, await lists.contents(), self._admits)
                if _weight(names) <= MAX_NAMES:
                    self._merged[key] = names
        return names


def _weight(names: tuple[str, ...]) -> int:
    """An empty list has a place too."""
    return len(names) + 1
