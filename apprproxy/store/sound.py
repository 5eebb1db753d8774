"""The names' database, always one that can be read: a damaged one is set aside, and what is left of it taken over.

- Looked through when it is opened: one that a copy ran over opens as if nothing were wrong, and fails at some name.
- What is taken over is what this program can have written; of a name told twice, what its owner said last.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import diskcache

from apprproxy.core.events import Observer, SetAside
from apprproxy.store.database import exclusively
from apprproxy.store.fence import MAX_RECORD, Tampered, open_records
from apprproxy.store.salvage import refuse_damaged, salvaged, set_aside

BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PLAIN = f"raw = 1 AND mode = 1 AND typeof(key) = 'text' AND typeof(value) = 'blob' AND length(value) <= {MAX_RECORD}"
_ROWS = f"SELECT key, value FROM Cache WHERE {_PLAIN}"

Age = Callable[[str, bytes], float]
"""When a record was last true; raises ValueError or Tampered for what is none."""


def sound_records(directory: Path, observer: Observer, age: Age) -> diskcache.Cache:
    """As ``open_records``; ``observer`` is told of a database that had to be set aside. Blocking."""
    path = directory / "cache.db"
    with exclusively(path):
        try:
            refuse_damaged(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in BROKEN:
                raise
            aside, records = set_aside(path), open_records(directory)
            kept = _taken_over(aside, records, age)
            observer(SetAside("names", str(aside), f"{error}; {kept} of its records could still be read"))
            return records
        return open_records(directory)


def _taken_over(aside: Path, records: diskcache.Cache, age: Age) -> int:
    best: dict[str, tuple[float, bytes]] = {}
    for key, value in salvaged(aside, _ROWS, "rowid"):
        with suppress(ValueError, Tampered):
            when = age(key, value)
            if key not in best or best[key][0] < when:
                best[key] = when, value
    with records.transact():
        for key, (_, value) in best.items():
            records.set(key, value)
    return len(best)
