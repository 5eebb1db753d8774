"""The index's sqlite file, opened as one that can be used.

- It is looked through when it is suspicious (``users.py``), and begun anew where a page is broken, or was met that is:
  a look through finds no page that is right and older than the others.
- Nothing of it is mapped: a bad sector, or a file that was cut short, would be a signal then, and no error.
- Commits are not synced one by one: killing the process loses nothing, a power cut may lose the last of them, and after
  it the blobs are counted again (``scan.py``).
"""

import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Observer, SetAside
from apprproxy.store.directory import sharing
from apprproxy.store.directory.salvage import broken, finish, is_damage, refuse_damaged, replace, salvaged
from apprproxy.store.index.schema import EVICTABLE, bring_up_to_date
from apprproxy.store.index.users import Users

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -32768",  # of 1 KiB: what one eviction touches; less, and it is written twice
    "PRAGMA wal_autocheckpoint = 8192",  # pages: one eviction touches thousands
    "PRAGMA journal_size_limit = 67108864",
)

_COUNTED = "SELECT blobs, held, pinned, reserved, held - pinned FROM totals"
_THERE = f"""
SELECT count(*), coalesce(sum(size), 0), coalesce(sum(size * pinned), 0),
    (SELECT coalesce(sum(size), 0) FROM parts),
    ({EVICTABLE})
FROM blobs NOT INDEXED
"""


def sound_index(path: Path, users: Users, observer: Observer) -> sqlite3.Connection:
    """While nobody else may open it. Where it cannot be used, and nobody else does, it is begun anew with the pins that
    could still be read, and ``observer`` is told. Blocking; raises StoreFailed, or sqlite3.DatabaseError."""
    if users.alone and (aside := finish(path)) is not None:
        observer(SetAside("index", str(aside), "a start that took over its pins was broken off"))
    pins = _pins(path)  # before anybody may write
    try:
        return _looked_through(path, users)
    except sqlite3.DatabaseError as error:
        if not _is_unusable(error, path) or not users.alone:
            raise
        aside = replace(path, _made(path, pins))
        observer(SetAside("index", str(aside), f"{error}; {len(pins)} of its pins could still be read"))
        return _opened(path)


def _looked_through(path: Path, users: Users) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError of one that is to be begun anew."""
    if not users.suspicious:
        return _opened(path)
    if users.marked:
        raise broken("a broken page was met")
    refuse_damaged(path)
    with ExitStack() as opened:
        db = opened.enter_context(closing(_opened(path)))
        _refuse_miscounted(db)
        opened.pop_all()
    return db


def connected(path: Path) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)  # a web server that is let in to the blobs may not read it
    db = sqlite3.connect(path, timeout=sharing.PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            db.execute(setting)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _opened(path: Path) -> sqlite3.Connection:
    db = connected(path)
    try:
        bring_up_to_date(db, path.name)
        if db.execute("SELECT count(blobs + held + pinned + reserved) FROM totals").fetchone() != (1,):
            raise broken("its totals are missing")
    except (sqlite3.Error, StoreFailed):
        db.close()
        raise
    return db


def _is_unusable(error: sqlite3.DatabaseError, path: Path) -> bool:
    """Damaged, or its tables are not those that its format has."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR or is_damage(error, path)


def _refuse_miscounted(db: sqlite3.Connection) -> None:
    """One page may be of before the others, each of them right: what is counted tells, and reads no more than was."""
    if db.execute(_COUNTED).fetchall() != db.execute(_THERE).fetchall():
        raise broken("its totals are not those of its tables")


def _pins(path: Path) -> dict[str, str]:
    """As far as they can be read: few, and the only thing in the file that nothing else tells."""
    found = {}
    for name, root in salvaged(path, "SELECT name, root FROM pins", "name"):
        with suppress(MalformedDigest, AttributeError):
            found[str(name)] = str(Digest.parse(root))
    return found


def _made(path: Path, pins: dict[str, str]) -> Path:
    """A new one beside it, with these. What is below a root is covered once that is linked again."""
    new = path.with_name(f"{path.name}.new")
    for left in (new, new.with_name(f"{new.name}-wal"), new.with_name(f"{new.name}-shm")):
        left.unlink(missing_ok=True)
    with closing(_opened(new)) as db:
        db.executemany("INSERT INTO pins (name, root) VALUES (?, ?)", pins.items())
        db.executemany("INSERT INTO pinned (name, key) VALUES (?, ?)", pins.items())
    return new
