"""Room is made inside the transaction that needs it: old orphans first, then blobs, least recently used first, and
orphans of any age where nothing else would do."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apprproxy.core.digest import Digest
from apprproxy.core.errors import NoRoom
from apprproxy.core.model import Expected
from apprproxy.store.blobs.part import blob_path, link_path
from apprproxy.store.directory.relief import free_space
from apprproxy.store.directory.salvage import broken
from apprproxy.store.index.evict import Evictable, Totals, first_to_go, missing, no_room
from apprproxy.store.index.links import may_go
from apprproxy.store.index.partials import Partials
from apprproxy.store.index.schema import EVICTABLE
from apprproxy.store.index.uses import Uses

AT_ONCE = 1000
"""Blobs that one transaction evicts: some tenths of a second in which others wait. Fewer, where documents among them
name thousands, as anybody may publish them."""

_IN_ORDER = "SELECT key, size, unpacked FROM blobs WHERE pinned = 0 ORDER BY used, key"


@dataclass(frozen=True, slots=True)
class Made:
    """What was evicted. Where it is not ``enough`` there is more to go, in another transaction."""

    enough: bool
    blobs: int = 0
    size: int = 0


class Room:
    def __init__(self, root: Path, max_size: int, partials: Partials, uses: Uses) -> None:
        self._root = root
        self._max_size = max_size
        self._partials = partials
        self._uses = uses

    def raise_cap(self, size: int) -> None:
        """To so many bytes, for as long as this lives."""
        self._max_size = max(self._max_size, size)

    def check(self, db: sqlite3.Connection, more: int, now: float, part: str) -> None:
        """Could room be made for so many? Nothing goes; raises NoRoom."""
        if self._short(db, more) <= _totals(db).evictable:
            return
        self._partials.settle(db, now, part)
        if self._short(db, more) > _totals(db).evictable + self._partials.orphaned(db, part):
            raise no_room(more, self._max_size)

    def check_disk(self, db: sqlite3.Connection, due: int, part: str) -> None:
        """Can the disk hold so many bytes of the part? What would go from a full one for them would go for nothing.
        Raises NoRoom."""
        lacking = due - free_space(self._root) - _size(self._root / "ingest" / part)
        if lacking > 0 and lacking > _totals(db).evictable + self._partials.orphaned(db, part):
            raise NoRoom(
                f"the cache's disk has no room for {due} bytes, whatever goes: free space, or move cache.directory"
            )

    def make(self, db: sqlite3.Connection, more: int, now: float, part: str) -> Made:
        """For so many more bytes of the part. Raises NoRoom before any blob has gone."""
        if not self._short(db, more):
            return Made(enough=True)
        self._partials.settle(db, now, part)
        short, blobs = self._short(db, more), _totals(db).evictable
        if short > blobs:
            if not self._partials.give_up(db, short - blobs, part):
                raise no_room(more, self._max_size)
            short = self._short(db, more)
        if not short:
            return Made(enough=True)
        chosen, freed = self._choose(db, short, AT_ONCE)
        if freed < short and len(chosen) < AT_ONCE:
            _refuse_wrong_evictable(db)
            raise no_room(more, self._max_size)
        return self._evict(db, chosen, enough=freed >= short)

    def above(self, db: sqlite3.Connection) -> int:
        """Bytes above the cap, which only was lowered."""
        return self._short(db, 0)

    def make_what_can_be(self, db: sqlite3.Connection, short: int) -> Made:
        """So many bytes go, as far as pins allow."""
        if short <= 0:
            return Made(enough=True)
        chosen, freed = self._choose(db, short, AT_ONCE)
        if freed < short and len(chosen) < AT_ONCE:
            _refuse_wrong_evictable(db)
            self._partials.give_up(db, short - freed)
        return self._evict(db, chosen, enough=freed >= short or len(chosen) < AT_ONCE)

    def make_files(self, db: sqlite3.Connection, short: int, files: int) -> Made:
        """So many blobs go, or fewer if they have so many bytes, or there is more to go."""
        chosen, _ = self._choose(db, short, files)
        return self._evict(db, chosen, enough=True)

    def _short(self, db: sqlite3.Connection, more: int) -> int:
        return missing(_totals(db), more, self._max_size)

    def _choose(self, db: sqlite3.Connection, short: int, at_most: int) -> tuple[list[Evictable], int]:
        self._uses.write(db)
        chosen = first_to_go(_in_order(db, self._partials.publishing(db)), short, at_most)
        return chosen, sum(blob.size for blob in chosen)

    def _evict(self, db: sqlite3.Connection, chosen: list[Evictable], *, enough: bool) -> Made:
        """Files first: if the process ends before the commit, what is gone is still counted, and goes next time."""
        every, chosen = len(chosen), chosen[: may_go(db, [blob.key for blob in chosen])]
        for blob in chosen:
            unlink(self._root, blob.key, blob.unpacked)
        went = db.executemany("DELETE FROM blobs WHERE key = ?", [(blob.key,) for blob in chosen]).rowcount
        if chosen and went != len(chosen):
            raise broken("blobs that it has in order of use are not in their table")
        return Made(enough and len(chosen) == every, len(chosen), sum(blob.size for blob in chosen))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def current(read: Callable[[str], list[Any]]) -> Totals:
    return Totals(*read("SELECT blobs, held, pinned, reserved FROM totals")[0])


def _totals(db: sqlite3.Connection) -> Totals:
    return current(lambda query: db.execute(query).fetchall())


def _refuse_wrong_evictable(db: sqlite3.Connection) -> None:
    """Where all that may go would not do, it is what the totals say, or a page is of before the others."""
    if db.execute(EVICTABLE).fetchone() != (_totals(db).evictable,):
        raise broken("it counts blobs that it does not have")


def _in_order(db: sqlite3.Connection, publishing: Collection[str]) -> Iterator[Evictable]:
    """Rows are read as they are asked for, along one index."""
    for key, size, unpacked in db.execute(_IN_ORDER):
        if key not in publishing:
            yield Evictable(key, size, unpacked)


def unlink(root: Path, key: str, tar: str | None) -> None:
    """The blob's file, and the link from the tar inside it; a link that dangles would be a miss all the same."""
    digest = Digest.parse(key)
    with suppress(IsADirectoryError):  # no blob, and so none of ours to remove
        blob_path(root, digest).unlink(missing_ok=True)
    if tar is not None:
        link = link_path(root, Expected.of_key(tar).digest)
        with suppress(OSError):
            if os.readlink(link).rpartition("/")[2] == digest.hex:
                link.unlink()
