"""What is remembered of documents' children is a small part of the cache: anybody may publish documents that name
thousands of digests, and what they take stands beside the cap.

Beyond its share, the documents that name the most are remembered no longer: genuine ones name dozens. Their bytes stay,
and whether somebody may see what they name is asked of its owner. What pins cover is remembered in any case, and has no
part of the share: whoever may push to a pinned name would have all others' forgotten, and the whole looked through for
each document that comes.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence

from apprproxy.core.model import KIB
from apprproxy.store.index.database import Database
from apprproxy.store.rounds import PIECE

SHARE = 8 * KIB
"""Bytes of the cap for each link, which takes about 400 on disk."""
AT_LEAST = 20_000
STEP = 2 * PIECE
"""Links forgotten in one transaction: more than come in one."""
GONE = PIECE
"""Links that go in one transaction with the documents that are evicted or removed."""
_BATCH = 1000
"""Documents looked at together."""


class Links:
    """Blocking, for one thread. Raises StoreFailed. ``most`` links are remembered, give or take those that come while
    some are forgotten, and that other processes of the cache have added since it was looked."""

    def __init__(self, database: Database, max_size: int) -> None:
        self._database = database
        self.most = max(AT_LEAST, max_size // SHARE)
        self._at_most: int | None = None
        self._forgetting: Iterator[None] | None = None

    def came(self, count: int) -> bool:
        """So many were added. Says whether there are too many, for which they are counted only where there may be: then
        ``forget_some`` is to be called until that is all."""
        if self._forgetting is not None:
            return False
        if self._at_most is not None:
            self._at_most += count
        if self._at_most is None or self._at_most > self.most:
            self._at_most = self._count()
        if self._at_most <= self.most:
            return False
        self._forgetting = self._forget(self._at_most - self.most * 7 // 8)
        return True

    def recount(self) -> bool:
        """Others have added some; says what ``came`` says."""
        self._at_most = None
        return self.came(0)

    @property
    def too_many(self) -> bool:
        """Are there some to be forgotten?"""
        return self._forgetting is not None

    def forget_some(self) -> bool:
        """In one transaction; says whether that was all."""
        forgetting, self._forgetting, self._at_most = self._forgetting, None, None
        if forgetting is not None and next(forgetting, _END) is None:
            self._forgetting = forgetting
        return self._forgetting is None

    def _count(self) -> int:
        return int(self._database.read_long(_UNPINNED)[0][0])

    def _forget(self, short: int) -> Iterator[None]:
        """So many, one document after the other, without what pins cover."""
        while short > 0 and (largest := self._database.read_long(_LARGEST, _BATCH)):
            parents = deque(parent for parent, _ in largest)
            while short > 0 and parents:
                short -= self._forget_of(parents, min(short, STEP))
                yield

    def _forget_of(self, parents: deque[str], most: int) -> int:
        """Those of which nothing is left are taken out. Returns how many links went."""
        gone = 0
        with self._database.transaction() as db:
            while parents and gone < most:
                gone += db.execute(_FORGET, (parents[0], most - gone)).rowcount
                if gone < most:
                    parents.popleft()
        return gone


def may_go(db: sqlite3.Connection, keys: Sequence[str]) -> int:
    """How many of these, from the first on, one transaction may remove with their links, of which each takes some 30
    microseconds. Of a first one that has too many by itself some links go, and it may not yet."""
    links = 0
    for count, key in enumerate(keys):
        links += db.execute(_SOME, (key, GONE + 1)).fetchone()[0]
        if links > GONE:
            if not count:
                db.execute(_GO, (key, GONE))
            return count
    return len(keys)


_END = object()
_SOME = "SELECT count(*) FROM (SELECT 1 FROM links WHERE parent = ? LIMIT ?)"
_GO = "DELETE FROM links WHERE (child, parent) IN (SELECT child, parent FROM links WHERE parent = ? LIMIT ?)"
_NAMED = """
SELECT parent, count(*) AS named FROM links
GROUP BY parent HAVING NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.key = links.parent)
"""
_UNPINNED = f"SELECT coalesce(sum(named), 0) FROM ({_NAMED})"
_LARGEST = f"{_NAMED} ORDER BY named DESC LIMIT ?"
_FORGET = """
DELETE FROM links WHERE (child, parent) IN (
    SELECT child, parent FROM links
    WHERE parent = ?1 AND NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.key = ?1) LIMIT ?2
)
"""
