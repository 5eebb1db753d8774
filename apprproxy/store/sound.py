"""The names' database, always one that can be read: a damaged one is set aside, and what is left of it taken over.

- Looked through when it is opened: one that a copy ran over opens as if nothing were wrong, and fails at some name.
- What is taken over is what this program can have written; of a name told twice, what its owner said last.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import diskcache

from apprproxy.core.events import Observer, SetAside
from apprproxy.store.database import exclusively
from apprproxy.store.fence import MAX_RECORD, Tampered, open_records
from apprproxy.store.salvage import finish, refuse_damaged, replace, salvaged

BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PLAIN = f"raw = 1 AND mode = 1 AND typeof(key) = 'text' AND typeof(value) = 'blob' AND length(value) <= {MAX_RECORD}"
_ANEW = "anew"
_ROWS = f"SELECT key, value FROM Cache WHERE {_PLAIN}"

Age = Callable[[str, bytes], float]
"""When a record was last true; raises ValueError or Tampered for what is none."""


def sound_records(directory: Path, observer: Observer, age: Age) -> diskcache.Cache:
    """As ``open_records``; ``observer`` is told of a database that had to be set aside. Blocking."""
    path = directory / "cache.db"
    with exclusively(path):
        if (aside := finish(path)) is not None:
            observer(SetAside("names", str(aside), "a start that took over what could still be read was broken off"))
        try:
            refuse_damaged(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in BROKEN:
                raise
            kept = _begun_anew(path, age)
            aside = replace(path, directory / _ANEW / path.name)
            observer(SetAside("names", str(aside), f"{error}; {kept} of its records could still be read"))
        shutil.rmtree(directory / _ANEW, ignore_errors=True)
        return open_records(directory)


def _begun_anew(path: Path, age: Age) -> int:
    """Beside the broken one, which stays where it is until all of it has been taken over."""
    folder = path.parent / _ANEW
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with closing(open_records(folder)) as records:
        return _taken_over(path, records, age)


def _taken_over(broken: Path, records: diskcache.Cache, age: Age) -> int:
    best: dict[str, tuple[float, bytes]] = {}
    for key, value in salvaged(broken, _ROWS, "rowid"):
        with suppress(ValueError, Tampered):
            when = age(key, value)
            if key not in best or best[key][0] < when:
                best[key] = when, value
    with records.transact():
        for key, (_, value) in best.items():
            records.set(key, value)
    return len(best)
