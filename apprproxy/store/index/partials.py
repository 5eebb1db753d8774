"""Files on their way in, and what is set aside for them.

- Whoever writes a file holds its lock. What nobody holds is an orphan: it counts with what is on disk, so that somebody
  may continue it, and goes after a day; before, where there is no room otherwise, or where there are too many.
- A reservation without a file is let go, and that of an unlocked file cut down, only when it has been there for a
  while: its owner may be about to make or to lock the file.
- Ages are absolute differences: what a clock said that was ahead is old, and not young for years.
"""

import sqlite3
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from apprproxy.store.directory.locked import left

SETTLING = 60.0
"""Seconds between a reservation and the lock on its file, at the very most."""

ORPHANED = 86_400.0
"""Seconds. Nobody has come back for it in a day."""

MOST = 500
"""Orphans. All are looked at whenever room is made, while nobody else may write to the index: with twenty thousand of
three bytes, which a client and an upstream make in minutes, everybody's transfers take a second each."""
AT_ONCE = 100
BESIDE = (".json", ".link")
"""What stands beside such a file. To look for it would be to go through all of them for each."""


class Partials:
    """``ingest`` is the directory. Everything happens inside the caller's transaction. Blocking."""

    def __init__(self, ingest: Path) -> None:
        self._ingest = ingest

    def settle(self, db: sqlite3.Connection, now: float, wanted: str = "") -> None:
        """Make the reservations say what is there; ``wanted`` is in use, whatever its file looks like."""
        rows: dict[str, float] = dict(db.execute("SELECT part, at FROM parts").fetchall())
        files = {path.name for path in self._ingest.glob("*.part")}
        for part in (rows.keys() | files) - {wanted}:
            settled = abs(now - rows.get(part, float("-inf"))) >= SETTLING
            if part not in files:
                if settled:
                    db.execute("DELETE FROM parts WHERE part = ?", (part,))
            else:
                self._settle_file(db, part, now, new=part not in rows, settled=settled)

    def _settle_file(self, db: sqlite3.Connection, part: str, now: float, *, new: bool, settled: bool) -> None:
        path = self._ingest / part
        with left(path) as found:
            if found is None:  # somebody is at work on it, or it has gone meanwhile
                with suppress(FileNotFoundError):
                    if new:
                        count_part(db, part, path.lstat().st_size, now)
            elif settled and abs(now - found.st_mtime) >= ORPHANED:
                self._drop(db, part)
            elif settled:
                count_part(db, part, found.st_size, now)

    def give_up(self, db: sqlite3.Connection, short: int, wanted: str = "") -> bool:
        """Remove orphans of so many bytes, those first that nobody came back for longest; says whether that was done.
        None goes where not even all would do."""
        orphans = self._orphans(db, wanted)
        if sum(size for _, _, size in orphans) < short:
            return False
        for _, part, size in sorted(orphans):
            with left(self._ingest / part) as found:
                if found is not None and short > 0:
                    self._drop(db, part)
                    short -= size
        return short <= 0

    def bound(self, db: sqlite3.Connection) -> None:
        """Where there are too many, the orphans with the fewest bytes go, which are soonest sent again."""
        (there,) = db.execute("SELECT count(*) FROM parts").fetchone()
        if there <= MOST:
            return
        orphans = sorted((size, part) for _, part, size in self._orphans(db, ""))
        for _, part in orphans[: min(max(len(orphans) - MOST, 0), AT_ONCE)]:
            with left(self._ingest / part) as found:
                if found is not None:
                    self._drop(db, part)

    def orphaned(self, db: sqlite3.Connection, wanted: str) -> int:
        """Bytes of all of them."""
        return sum(size for _, _, size in self._orphans(db, wanted))

    def _orphans(self, db: sqlite3.Connection, wanted: str) -> list[tuple[float, str, int]]:
        """When each was last written to, its name, its size."""
        orphans = []
        for part, size in db.execute("SELECT part, size FROM parts WHERE part != ?", (wanted,)).fetchall():
            with left(self._ingest / part) as found:
                if found is not None:
                    orphans.append((found.st_mtime, part, size))
        return orphans

    def _drop(self, db: sqlite3.Connection, part: str) -> None:
        self._remove(self._ingest / part)
        db.execute("DELETE FROM parts WHERE part = ?", (part,))

    def _remove(self, path: Path) -> None:
        """With what stands beside it under the same name."""
        for suffix in BESIDE:
            path.with_suffix(suffix).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def forget_published(self, db: sqlite3.Connection, now: float) -> None:
        """Of those that were renamed into place a while ago. Where the file is here still, whoever was about to rename
        it may have been suspended."""
        rows = db.execute(
            "SELECT part FROM parts WHERE key IS NOT NULL AND abs(? - at) > ?", (now, SETTLING)
        ).fetchall()
        for (part,) in rows:
            if not (self._ingest / part).exists():
                db.execute("DELETE FROM parts WHERE part = ?", (part,))

    def publishing(self, db: sqlite3.Connection) -> Collection[str]:
        """Blobs that are counted and about to be renamed into place: their file is here still. To evict one of them
        now would leave a file that nobody counts."""
        rows = db.execute("SELECT part, key FROM parts WHERE key IS NOT NULL").fetchall()
        return {key for part, key in rows if (self._ingest / part).exists()}


def count_part(db: sqlite3.Connection, part: str, size: int, now: float) -> None:
    db.execute(
        "INSERT INTO parts (part, size, at) VALUES (?, ?, ?) ON CONFLICT (part) DO UPDATE SET size = excluded.size,"
        " at = excluded.at, key = NULL",
        (part, size, now),
    )
