"""When blobs were last used, their own use or that of a document that names them, written down in batches.

Propagating a use to what is named when it is written makes "least recently used" one walk along one index.
"""

import sqlite3
import threading
import time

from apprproxy.core.digest import Digest
from apprproxy.core.model import Clock
from apprproxy.store.index.below import BELOW, BLOBS_BELOW

EVERY = 5.0
"""Seconds. What is lost when the process is killed, and how late other processes learn of a use."""

MANY = 512

LIMIT = 8192
"""Uses in memory while the disk fails; more are forgotten. They only order the eviction."""

BUDGET = 0.1
"""Seconds that one transaction writes uses: others wait for it, and a document may name thousands."""

AHEAD = 3600.0
"""Seconds that a use may be ahead of the clock. What was used while the clock was wrong would be kept for years."""

_PUT_RIGHT = "UPDATE blobs SET used = :now WHERE pinned = 0 AND used > :now + :ahead"
_WRITE = f"{BELOW} UPDATE blobs SET used = :at WHERE used < :at AND key IN ({BLOBS_BELOW})"


class Uses:
    def __init__(self, now: Clock) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._pending: dict[str, float] = {}
        self._written = now()

    def add(self, digest: Digest) -> bool:
        """Only remembers it; says whether it is time to write."""
        at = self._now()
        with self._lock:
            if len(self._pending) < LIMIT:
                self._pending.pop(str(digest), None)  # so that their order is that of their times
                self._pending[str(digest)] = at
            due = len(self._pending) >= MANY or abs(at - self._written) >= EVERY
            if due:
                self._written = at  # whoever comes next need not write as well
        return due

    def write(self, db: sqlite3.Connection) -> bool:
        """Inside a transaction, as many as there is time for, the oldest first; says whether that was all. If it fails
        the uses are lost, which costs a worse choice once."""
        until = time.monotonic() + BUDGET
        db.execute(_PUT_RIGHT, {"now": self._now(), "ahead": AHEAD})
        while time.monotonic() < until:
            with self._lock:
                self._written = self._now()
                if not self._pending:
                    return True
                key = next(iter(self._pending))
                at = self._pending.pop(key)
            use(db, key, at)
        return False


def use(db: sqlite3.Connection, key: str, at: float) -> None:
    """The blob, and all that it names, were used then, unless they were used later."""
    db.execute(_WRITE, {"root": key, "at": at})
