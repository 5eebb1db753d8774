"""What is remembered of documents' children is a small part of the cache: anybody may publish documents that name
thousands of digests, and what they take stands beside the cap.

Beyond its share, the documents that name the most are remembered no longer: genuine ones name dozens. Their bytes stay,
and whether somebody may see what they name is asked of its owner.
"""

from apprproxy.core.model import KIB
from apprproxy.store.database import Database

SHARE = 8 * KIB
"""Bytes of the cap for each link, which takes about 400 on disk."""
AT_LEAST = 20_000
_BATCH = 1000
"""Documents looked at together."""


class Links:
    """Blocking. Raises StoreFailed. ``most`` links are remembered, give or take those that other processes of the cache
    have added since it was looked."""

    def __init__(self, database: Database, max_size: int) -> None:
        self._database = database
        self.most = max(AT_LEAST, max_size // SHARE)
        self._at_most: int | None = None

    def came(self, count: int) -> None:
        """So many were added; counted is only when there may be too many."""
        if self._at_most is not None:
            self._at_most += count
        if self._at_most is None or self._at_most > self.most:
            self._at_most = self._count()
            if self._at_most > self.most:
                self._at_most -= self._forget(self._at_most - self.most * 7 // 8)

    def _count(self) -> int:
        return int(self._database.read("SELECT count(*) FROM links")[0][0])

    def _forget(self, short: int) -> int:
        """At least so many, one document after the other, as far as pins allow; returns how many."""
        gone = 0
        while gone < short and (largest := self._database.read(_LARGEST, _BATCH)):
            for parent, count in largest:
                if gone >= short:
                    break
                with self._database.transaction() as db:
                    db.execute("DELETE FROM links WHERE parent = ?", (parent,))
                gone += count
        return gone


_LARGEST = """
SELECT parent, count(*) AS named FROM links
WHERE NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.key = links.parent)
GROUP BY parent ORDER BY named DESC LIMIT ?
"""
