"""Sorted lists as clients page through them (distribution specification, "Listing Tags"). Pure.

A page is told by the last name on it and not by a number, so that nothing is lost or repeated when names come and go.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from apprproxy.core.documents import composed, fields
from apprproxy.core.errors import Malformed
from apprproxy.face.target import Target

MOST = 1000
"""Names on a page, however many are asked for ("The response to such a request MAY return fewer than <int> results"): a
page is made for whoever asks."""
_COUNT = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Page:
    """``count`` names at the most; ``last`` is the name after which it begins."""

    count: int
    last: str | None


def asked_page(target: Target) -> Page | None:
    """None where the whole list is asked for; raises Malformed. A page never has more than ``MOST`` names."""
    count, last = target.get("n"), target.get("last")
    if count is None and last is None:
        return None
    if count is not None and not _COUNT.fullmatch(count):
        raise Malformed("n is not a number", "PAGINATION_NUMBER_INVALID")
    return Page(min(int(count), MOST) if count is not None else MOST, last)


def paged(names: Sequence[str], page: Page) -> tuple[list[str], str | None]:
    """That page's names of a sorted list; and the query of the next page, where there is one."""
    start = bisect_right(names, page.last) if page.last is not None else 0
    stop = min(len(names), start + page.count)
    chosen = list(names[start:stop])
    more = urlencode({"n": page.count, "last": chosen[-1]}) if chosen and stop < len(names) else None
    return chosen, more


def size(names: Sequence[str]) -> int:
    """About, as they are sent."""
    return sum(map(len, names)) + 3 * len(names)


@dataclass(frozen=True, slots=True)
class TagPage:
    """``more`` is the query of the next page, where there is one."""

    tags: Sequence[str]
    besides: Mapping[str, bytes]
    size: int
    more: str | None

    def written(self) -> bytes:
        return composed({**self.besides, "tags": orjson.dumps(self.tags)})


@dataclass(frozen=True, slots=True)
class TagList:
    """A list as an upstream sent it: its tags, sorted and each once, and its other fields as they came. ``size`` is
    that of the others."""

    tags: Sequence[str]
    besides: Mapping[str, bytes]
    size: int

    def page(self, page: Page) -> TagPage:
        tags, more = paged(self.tags, page)
        return TagPage(tags, self.besides, self.size + size(tags), more)


def tag_list(document: bytes) -> TagList:
    """Of a document that has been checked."""
    found = fields(document)
    tags, _ = found["tags"]
    besides = {name: b"" if name == "tags" else raw for name, (_, raw) in found.items()}
    return TagList(tuple(sorted(set(tags or []))), besides, sum(map(len, besides.values())))
