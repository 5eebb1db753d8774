"""What goes first: plain arithmetic, and the order is given."""

from collections.abc import Iterable
from dataclasses import dataclass

from apprproxy.core.errors import NoRoom


@dataclass(frozen=True, slots=True)
class Totals:
    """``held`` bytes in ``blobs`` blobs, ``pinned`` of them not to be evicted, and what files on their way in may
    take."""

    blobs: int
    held: int
    pinned: int
    reserved: int

    @property
    def evictable(self) -> int:
        return self.held - self.pinned


@dataclass(frozen=True, slots=True)
class Evictable:
    """``unpacked`` is the key of the tar inside, where that is known."""

    key: str
    size: int
    unpacked: str | None = None


def missing(totals: Totals, more: int, cap: int) -> int:
    """Bytes that must go before so many more may come; 0 for none."""
    return max(0, totals.held + totals.reserved + more - cap)


def first_to_go(blobs: Iterable[Evictable], short: int, at_most: int) -> list[Evictable]:
    """As few as free ``short`` bytes, in the order given, but no more than ``at_most`` at once: read no further."""
    chosen: list[Evictable] = []
    if short <= 0:
        return chosen
    for blob in blobs:
        chosen.append(blob)
        short -= blob.size
        if short <= 0 or len(chosen) == at_most:
            break
    return chosen


def no_room(more: int, cap: int) -> NoRoom:
    return NoRoom(f"cache.max_size ({cap} bytes) leaves no room for {more} more: what is pinned or arriving stays")
