"""Tag lists taken apart once for everybody who pages through them.

A list may have 200,000 tags, of about a hundred bytes each once they are taken apart: whoever waits for something holds
none, but the one page that it asked for.
"""

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.model import MAX_DOCUMENT
from apprproxy.core.ports.store import Held
from apprproxy.core.reading import content, if_short
from apprproxy.face.large import Large
from apprproxy.oci.paging import Page, TagList, TagPage, size, tag_list

MAX_KEPT = 2 * MAX_DOCUMENT
"""Bytes of lists that are kept, where they are several times as large."""


class TagLists:
    def __init__(self, large: Large) -> None:
        self._large = large
        self._lists: LRUCache[Digest, TagList] = LRUCache(MAX_KEPT, getsizeof=_weight)

    async def page(self, upstream: str, document: Held, page: Page) -> TagPage:
        """Raises Crowded."""
        if (short := await if_short(document)) is not None:
            return tag_list(short).page(page)  # as most are, which would wait behind what others have taken apart
        answer = self._lists.get(document.digest)
        if answer is None:
            answer = await self._large.aside(
                upstream,
                ("tags", document.digest),
                lambda: tag_list(content(document)),
                lambda tags: self._lists.__setitem__(document.digest, tags),
            )
        return answer.page(page)


def _weight(tags: TagList) -> int:
    """One that is larger than all that are kept is kept alone."""
    return min(tags.size + size(tags.tags) + 1, MAX_KEPT)
