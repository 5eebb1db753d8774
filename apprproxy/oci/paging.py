"""Sorted lists as clients page through them (distribution specification, "Listing Tags"). Pure.

A page is told by the last name on it and not by a number, so that nothing is lost or repeated when names come and go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from apprproxy.core.errors import Malformed
from apprproxy.face.target import Target


@dataclass(frozen=True, slots=True)
class Page:
    """``count`` None for all; ``last`` is the name after which the page begins."""

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


def paged(names: Iterable[str], page: Page) -> tuple[list[str], str | None]:
    """That page's names, sorted and each once; and the query of the next page, where there is one."""
    rest = sorted({name for name in names if page.last is None or name > page.last})
    chosen = rest if page.count is None else rest[: page.count]
    more = urlencode({"n": page.count, "last": chosen[-1]}) if chosen and len(chosen) < len(rest) else None
    return chosen, more
