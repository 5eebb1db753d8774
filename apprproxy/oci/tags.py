"""A tag list as clients page through it (distribution specification, "Listing tags"). Pure."""

from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from apprproxy.core.errors import Malformed
from apprproxy.face.target import Target


@dataclass(frozen=True, slots=True)
class Page:
    """``count`` None for all; ``last`` is the tag after which the page begins."""

    count: int | None
    last: str | None


def asked_page(target: Target) -> Page | None:
    """None where the whole list is asked for; raises Malformed."""
    count, last = target.get("n"), target.get("last")
    if count is None and last is None:
        return None
    if count is not None and (not count.isdecimal() or len(count) > 9):
        raise Malformed("n is not a number", "PAGINATION_NUMBER_INVALID")
    return Page(int(count) if count is not None else None, last)


def paged(document: bytes, page: Page) -> tuple[bytes, str | None]:
    """The list with just that page's tags, sorted, its other fields kept; and the query of the next page."""
    answer = orjson.loads(document)
    tags = sorted(set(answer["tags"] or []))
    rest = [tag for tag in tags if page.last is None or tag > page.last]
    chosen = rest if page.count is None else rest[: page.count]
    more = urlencode({"n": page.count, "last": chosen[-1]}) if chosen and len(chosen) < len(rest) else None
    return orjson.dumps({**answer, "tags": chosen}), more
