"""The names' database, always one that can be read: a damaged one is set aside, and what is left of it taken over.

- Looked through when it is opened: one that a copy ran over opens as if nothing were wrong, and fails at some name; one
  of which a page is older than the others, each of them right, answers a name with another's record. A bad page that
  anybody met is marked by a file.
- A row that it cannot have written, be it by one flipped bit, would end every command that walks all of them.
- What is taken over is what this program can have written; of a name told twice, what its owner said last.
- Other gateways write into the damaged one until another is in its place. That is taken over once it is.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import diskcache

from apprproxy.core.events import Observer, SetAside
from apprproxy.store.directory.salvage import (
    broken,
    broken_off,
    finish,
    is_damage,
    last_aside,
    refuse_damaged,
    refuse_rows,
    replace,
    salvaged,
)
from apprproxy.store.directory.sharing import exclusively
from apprproxy.store.names.fence import MAX_RECORD, Tampered, open_records

_PLAIN = f"raw = 1 AND mode = 1 AND typeof(key) = 'text' AND typeof(value) = 'blob' AND length(value) <= {MAX_RECORD}"
_ANEW = "anew"
_FIRST = "first "
_ROWS = f"SELECT key, value FROM Cache WHERE {_PLAIN}"

Age = Callable[[str, bytes], float]
"""When a record was last true; raises ValueError or Tampered for what is none."""


def sound_records(directory: Path, observer: Observer, age: Age) -> diskcache.Cache:
    """As ``open_records``; ``observer`` is told of a database that had to be set aside. Blocking."""
    path = directory / "cache.db"
    with exclusively(path), ExitStack() as opened:
        try:
            _refuse_broken(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error, path):
                raise
            kept = _begun_anew([path, *broken_off(path)], directory / _ANEW, age)
            aside = replace(path, directory / _ANEW / path.name)
            _mark(path).unlink(missing_ok=True)
            observer(SetAside("names", str(aside), f"{error}; {kept} of its records could still be read"))
        records = opened.enter_context(closing(open_records(directory)))
        if (directory / _ANEW).exists():  # until all is told, whatever breaks this off
            if not (directory / _ANEW / path.name).exists():  # or a start ended before anything was set aside
                _catch_up(last_aside(path), records, age)
            shutil.rmtree(directory / _ANEW, ignore_errors=True)
        opened.pop_all()
        return records


def mark(path: Path) -> None:
    """Somebody met a broken page, which a look through may not find: the next start begins anew. Blocking."""
    with suppress(OSError):  # then it is met again
        _mark(path).touch(mode=0o600)


def _mark(path: Path) -> Path:
    return path.with_suffix(".suspect")


def _refuse_broken(path: Path) -> None:
    if broken_off(path):  # maybe long ago, and others have written into it since
        raise broken("a start that took over what could still be read was broken off")
    finish(path)
    if _mark(path).exists():
        raise broken("a broken page was met")
    refuse_damaged(path, keys=True)
    refuse_rows(path, "Cache", _PLAIN)


def _begun_anew(left: Iterable[Path], folder: Path, age: Age) -> int:
    """Beside the broken one, which stays where it is until all of it has been taken over."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.unlink()  # no folder of ours, and in the way
    folder.mkdir(mode=0o700)
    with closing(open_records(folder)) as records:
        return _taken_over(left, records, age)


def _taken_over(left: Iterable[Path], records: diskcache.Cache, age: Age) -> int:
    best = _said_last(left, age)
    with records.transact():
        for key, (_, value) in best.items():
            records.set(key, value)
    return len(best)


def _catch_up(left: Iterable[Path], records: diskcache.Cache, age: Age) -> None:
    """With what was written since it was read, while others may write already into what took its place."""
    best = _said_last(left, age)
    with records.transact():
        for key, (when, value) in best.items():
            if not _stands(key, records.get(key), when, age):
                records.set(key, value)


def _said_last(left: Iterable[Path], age: Age) -> dict[str, tuple[float, bytes]]:
    best: dict[str, tuple[float, bytes]] = {}
    for key, value in (row for file in left for row in salvaged(file, _ROWS, "rowid")):
        if key in best and best[key][1] == value:
            continue  # as most are, and to read one takes long
        with suppress(ValueError, Tampered):
            when = age(key, value)
            if key not in best or best[key][0] < when:
                best[key] = when, value
    return best


def _stands(key: str, there: bytes | None, when: float, age: Age) -> bool:
    """May it stay, where ``when`` is of what was set aside? What somebody took for first seen meanwhile was not."""
    if there is None:
        return False
    try:
        since = age(key, there)
    except (ValueError, Tampered):
        return False
    return since == when if key.startswith(_FIRST) else since >= when
