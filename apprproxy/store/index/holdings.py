"""What is held, as an operator asks for it: in some order, by upstream, and what names what."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apprproxy.core.digest import Digest
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import Expected
from apprproxy.store.index.below import BELOW, BLOBS_BELOW
from apprproxy.store.index.database import Database
from apprproxy.store.index.ledger import Blob
from apprproxy.store.index.membership import OF

_PAGE = 1000
_CAME = f"""EXISTS (SELECT 1 FROM members WHERE members.key = blobs.key AND {OF} = ?1)
    OR EXISTS (SELECT 1 FROM members WHERE members.key = blobs.unpacked AND {OF} = ?1)"""
_ELSEWHERE = f"""EXISTS (SELECT 1 FROM members WHERE members.key = blobs.key AND {OF} <> ?1 AND source <> '{CLAIMED}')
    OR EXISTS (SELECT 1 FROM members WHERE members.key = blobs.unpacked AND {OF} <> ?1 AND source <> '{CLAIMED}')"""
_UNPINNED = "pinned = 0"  # by another upstream's name
_ORDERS = {"digest": "blobs.key", "size": "blobs.size DESC, blobs.key", "used": "blobs.used DESC, blobs.key"}
_BELOW = f"{BELOW} SELECT key FROM blobs WHERE key IN ({BLOBS_BELOW})".replace(":root", "?1")
_NAMED_BY = """SELECT links.parent, links.child <> ?1 FROM links JOIN blobs AS above ON above.key = links.parent
    WHERE links.child = ?1 OR links.child = (SELECT unpacked FROM blobs WHERE key = ?1)"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which blobs to list. ``order`` is ``digest``, ``size`` (largest first) or ``used`` (last used first)."""

    upstream: str | None = None
    larger_than: int = -1
    order: str = "digest"
    limit: int | None = None


class Holdings:
    """Blocking. Raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, asked: Asked) -> Iterator[Blob]:
        """Put into order on disk, and read in pages: a slow reader holds up no gateway, and memory is bounded."""
        table = f"listed_{secrets.token_hex(4)}"
        self._database.read(
            f"CREATE TEMP TABLE {table} AS SELECT key FROM blobs WHERE (?1 IS NULL OR {_CAME}) AND size > ?2"
            f" ORDER BY {_ORDERS[asked.order]} LIMIT ?3",
            asked.upstream,
            asked.larger_than,
            -1 if asked.limit is None else asked.limit,
        )
        try:
            for key, size, used, pinned in self._pages(
                f"SELECT {table}.rowid, key, size, used, pinned FROM {table} JOIN blobs USING (key)"
                f" WHERE {table}.rowid > ? ORDER BY {table}.rowid LIMIT {_PAGE}"
            ):
                yield Blob(Digest.parse(key), size, used, bool(pinned))
        finally:
            self._database.read(f"DROP TABLE {table}")

    def _pages(self, query: str) -> Iterator[tuple[Any, ...]]:
        last = 0
        while page := self._database.read(query, last):
            yield from (tuple(row) for _, *row in page)
            last = page[-1][0]

    def only_of(self, upstream: str, limit: int) -> list[str]:
        """Some blobs that came through this upstream and through no other; one that only says that it has them would
        not show them."""
        query = f"SELECT key FROM blobs WHERE ({_CAME}) AND NOT ({_ELSEWHERE}) AND {_UNPINNED} LIMIT ?2"
        return [key for (key,) in self._database.read(query, upstream, limit)]

    def below(self, root: str) -> set[str]:
        """The blobs that a document is and names, and those name, and so on."""
        return {key for (key,) in self._database.read(_BELOW, root)}

    def named_by(self, key: str) -> dict[str, bool]:
        """Documents that are held and name this blob; True for those that do by the tar inside."""
        return {parent: bool(by_tar) for parent, by_tar in self._database.read(_NAMED_BY, key)}

    def documented(self, key: str) -> bool:
        """Is it known as something that names others?"""
        return bool(self._database.read("SELECT 1 FROM links WHERE parent = ? LIMIT 1", key))

    def pinned(self, key: str) -> bool:
        return self._database.read("SELECT pinned FROM blobs WHERE key = ?", key) == [(1,)]

    def content_of(self, tar: Digest) -> str | None:
        """The package that holds this tar."""
        rows = self._database.read("SELECT key FROM blobs WHERE unpacked = ?", Expected(unpacked=tar).key)
        return str(rows[0][0]) if rows else None

    def used_between(self) -> tuple[float, float] | None:
        """The oldest and the newest last use; None where nothing is held."""
        oldest, newest = self._database.read("SELECT min(used), max(used) FROM blobs")[0]
        return (oldest, newest) if oldest is not None else None

    def parts(self) -> int:
        """Files on their way in."""
        return int(self._database.read("SELECT count(*) FROM parts")[0][0])
