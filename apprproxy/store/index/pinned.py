"""Pins: names whose whole closure is kept, what is not held yet included.

A pin covers keys, not files: what arrives later and is covered is pinned as it arrives (``ledger.py``), and what a
covered document turns out to name is covered as it is linked (``extend``).
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from apprproxy.core.digest import Digest
from apprproxy.store.directory.generation import Generation
from apprproxy.store.index.below import BELOW, BLOBS_BELOW
from apprproxy.store.index.database import Database

_COVER = f"{BELOW} INSERT OR IGNORE INTO pinned (key, name) SELECT key, :name FROM below"
_COVERED = "SELECT key FROM pinned WHERE name = ?"
_OF_BLOBS = (
    f"SELECT key FROM blobs WHERE key IN ({_COVERED}) UNION SELECT key FROM blobs WHERE unpacked IN ({_COVERED})"
)
_PIN = f"{BELOW} UPDATE blobs SET pinned = 1 WHERE pinned = 0 AND key IN ({BLOBS_BELOW})"
"""What has just been covered, and not all that the pin covers: that may be a million keys by now."""
_NOT_HELD = """NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.key = pinned.key)
    AND NOT EXISTS (SELECT 1 FROM blobs WHERE blobs.unpacked = pinned.key)"""
_PARENTS = """SELECT links.parent FROM links JOIN pinned ON pinned.key = links.parent
    WHERE links.child = ? AND pinned.name = ?"""
_FREE = """
UPDATE blobs SET pinned = 0 WHERE key = ?
    AND NOT EXISTS (SELECT 1 FROM pinned WHERE pinned.key = blobs.key OR pinned.key = blobs.unpacked)
"""


@dataclass(frozen=True, slots=True)
class Closure:
    """Keys that a pin covers: those that are held, and those that will be kept once they come."""

    held: tuple[str, ...]
    missing: tuple[str, ...]


class Pinned:
    """Blocking. Raises StoreFailed."""

    def __init__(self, database: Database, generation: Generation) -> None:
        self._database = database
        self._generation = generation

    def pin(self, name: str, root: Digest) -> None:
        """``name`` as ``moved_on`` is told it: ``upstream/repository:tag``. A pin of that name is replaced."""
        with self._database.transaction() as db:
            _unpin(db, name)
            _pin(db, name, root)
        self._generation.bump()

    def unpin(self, name: str) -> bool:
        """Says whether there was such a pin."""
        with self._database.transaction() as db:
            there = _unpin(db, name)
        self._generation.bump()
        return there

    def pins(self) -> dict[str, Digest]:
        return {name: Digest.parse(root) for name, root in self._database.read("SELECT * FROM pins ORDER BY name")}

    def closure(self, name: str) -> Closure:
        """Of a pin as it is now."""
        covered = self._database.read(f"SELECT key, {_NOT_HELD} FROM pinned WHERE name = ? ORDER BY key", name)
        held, missing = ([key for key, away in covered if bool(away) is one] for one in (False, True))
        return Closure(tuple(held), tuple(missing))

    def parents(self, name: str, key: str) -> list[str]:
        """Documents that the pin covers, and that name this."""
        return [parent for (parent,) in self._database.read(_PARENTS, key, name)]

    def covers(self, upstream: str, key: str) -> bool:
        """Does a pin of one of this upstream's names?"""
        query = "SELECT 1 FROM pinned WHERE key = ?1 AND substr(name, 1, length(?2)) = ?2 LIMIT 1"
        return bool(self._database.read(query, key, f"{upstream}/"))

    def follow(self, name: str, root: Digest) -> None:
        """The name points elsewhere now: its pin, if there still is one, goes along."""
        with self._database.transaction() as db:
            before = db.execute("SELECT root FROM pins WHERE name = ?", (name,)).fetchone()
            if before is not None and before != (str(root),):
                _unpin(db, name)
                _pin(db, name, root)


def extend(db: sqlite3.Connection, parent: str) -> None:
    """Inside the transaction that links the parent: its pins cover what it names."""
    _cover(db, parent, [name for (name,) in db.execute("SELECT name FROM pinned WHERE key = ?", (parent,))])


def covered(db: sqlite3.Connection, *keys: str | None) -> bool:
    return any(db.execute("SELECT 1 FROM pinned WHERE key = ? LIMIT 1", (key,)).fetchone() for key in keys)


def _pin(db: sqlite3.Connection, name: str, root: Digest) -> None:
    db.execute("INSERT INTO pins (name, root) VALUES (?, ?)", (name, str(root)))
    _cover(db, str(root), [name])


def _cover(db: sqlite3.Connection, root: str, names: Sequence[str]) -> None:
    for name in names:
        db.execute(_COVER, {"root": root, "name": name})
    if names:
        db.execute(_PIN, {"root": root})


def _unpin(db: sqlite3.Connection, name: str) -> bool:
    blobs = db.execute(_OF_BLOBS, (name, name)).fetchall()
    db.execute("DELETE FROM pinned WHERE name = ?", (name,))
    there = db.execute("DELETE FROM pins WHERE name = ?", (name,)).rowcount == 1
    db.executemany(_FREE, blobs)
    return there
