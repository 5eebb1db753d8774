"""The sqlite file of the index: always one that can be used, and what goes wrong with it is StoreFailed.

- One connection writes and one reads, each under a lock. Writes exclude one another in sqlite anyway; the second is
  there so that nobody who only asks waits for an eviction. More connections would be more caches of the same pages:
  there is another only while a whole table is read.
- It is looked through when it is suspicious (``users.py``), and begun anew where a page is broken, or was met that is:
  a look through finds no page that is right and older than the others. One that breaks while it is open goes on being
  used as far as it can be, and ``damage`` says so.
- Nothing of it is mapped: a bad sector, or a file that was cut short, would be a signal then, and no error.
- Commits are not synced one by one: killing the process loses nothing, a power cut may lose the last of them, and after
  it the blobs are counted again (``scan.py``).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import NoRoom, StoreFailed
from apprproxy.core.events import Observer, SetAside
from apprproxy.core.model import MIB
from apprproxy.store.directory import sharing
from apprproxy.store.directory.owner import trouble
from apprproxy.store.directory.relief import FULL
from apprproxy.store.directory.salvage import DAMAGED, broken, finish, is_damage, refuse_damaged, replace, salvaged
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
LONG = MIB
"""Bytes of the log that are worth giving back, where the disk is full: each time costs a sync."""

_COUNTED = "SELECT blobs, held, pinned, reserved, held - pinned FROM totals"
_THERE = f"""
SELECT count(*), coalesce(sum(size), 0), coalesce(sum(size * pinned), 0),
    (SELECT coalesce(sum(size), 0) FROM parts),
    ({EVICTABLE})
FROM blobs NOT INDEXED
"""


class IndexFull(NoRoom):
    """The disk is, and does not take what the index was told."""


class Database:
    """Shared by threads. ``damage`` says what was found wrong with the file since it was opened. ``close`` it."""

    def __init__(self, path: Path, observer: Observer) -> None:
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._path = path
        self._observer = observer
        with translated():
            self._users = Users(path)
            try:
                self._open()
            except BaseException:
                self._users.leave()
                raise

    def _open(self) -> None:
        self._patience = sharing.PATIENCE
        self.damage = ""
        with sharing.exclusively(self._path):
            self._users.enter()
            if self._users.alone and (aside := finish(self._path)) is not None:
                self._observer(SetAside("index", str(aside), "a start that took over its pins was broken off"))
            pins = _pins(self._path)  # before anybody may write
            try:
                self._writer = self._sound()
            except sqlite3.DatabaseError as error:
                if not _is_unusable(error, self._path) or not self._users.alone:
                    raise
                aside = replace(self._path, _made(self._path, pins))
                self._observer(SetAside("index", str(aside), f"{error}; {len(pins)} of its pins could still be read"))
                self._writer = _opened(self._path)
            if self._users.suspicious:
                self._users.clear()
            self._reader = _connected(self._path)
        if self._users.marked:
            self.damage = _damage("another process of this cache met a broken page")

    def _sound(self) -> sqlite3.Connection:
        """Raises sqlite3.DatabaseError of one that is to be begun anew."""
        if not self._users.suspicious:
            return _opened(self._path)
        if self._users.marked:
            raise broken("a broken page was met")
        refuse_damaged(self._path)
        with ExitStack() as opened:
            db = opened.enter_context(closing(_opened(self._path)))
            _refuse_miscounted(db)
            opened.pop_all()
        return db

    def mend(self) -> bool:
        """Begun anew, if it is damaged and nobody else uses it; says whether it is sound now. Nobody may use it here
        meanwhile. Raises StoreFailed."""
        with translated():
            self._shut()
            self._open()
        return not self.damage

    @contextmanager
    def _watched(self) -> Iterator[None]:
        with translated():
            try:
                yield
            except sqlite3.DatabaseError as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the module's own have none
                if code in DAMAGED:
                    self.damage = _damage(str(error))
                    self._users.mark()
                elif code == sqlite3.SQLITE_IOERR:
                    self._users.doubt()
                raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, over all processes; undone if the block raises."""
        with self._turn(), self._watched():
            self._begin()
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _begin(self) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                self._wait(sharing.IMPATIENCE)
            raise
        self._wait(sharing.PATIENCE)

    def _wait(self, seconds: float) -> None:
        """So long at the most, from now on."""
        if seconds != self._patience:
            self._writer.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
            self._patience = seconds

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Those of this process wait no longer than those of others do."""
        if not self._writing.acquire(timeout=sharing.PATIENCE):
            raise StoreFailed(f"the cache's index is busy: nobody else's turn has ended within {sharing.PATIENCE:g} s")
        try:
            yield
        finally:
            self._writing.release()

    def read(self, query: str, *values: Any) -> list[Any]:
        """Of what was committed last; waits for nobody's transaction."""
        with self._reading, self._watched():
            return self._reader.execute(query, values).fetchall()

    def read_long(self, query: str, *values: Any) -> list[Any]:
        """The same of a whole table, which takes long: whoever asks for little does not wait for it."""
        with self._watched(), closing(_connected(self._path)) as db:
            return db.execute(query, values).fetchall()

    def has_long_log(self) -> bool:
        """Is it worth it to ``shorten``?"""
        with translated():
            return self._log().stat().st_size >= LONG

    def shorten(self) -> bool:
        """Give the disk's room for the log back, unless somebody reads in it; says whether that was done."""
        with self._turn(), self._watched():
            patience = self._patience
            self._wait(sharing.IMPATIENCE)
            try:
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._wait(patience)
            return self._log().stat().st_size < LONG

    def _log(self) -> Path:
        return self._path.with_name(f"{self._path.name}-wal")

    def close(self) -> None:
        self._shut()
        self._users.leave()

    def _shut(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise IndexFull(FULL) from error
        if code in DAMAGED:
            raise StoreFailed(_damage(str(error))) from error
        raise StoreFailed(f"the cache's index failed: {error}") from error
    except sqlite3.Error as error:  # a connection that was closed, which only a stopping gateway has
        raise StoreFailed(f"the cache's index cannot be used: {error}") from error
    except OSError as error:
        where = f": {Path(error.filename).name}" if error.filename else ""
        raise StoreFailed(f"{trouble(error)}{where}") from error


def _connected(path: Path) -> sqlite3.Connection:
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
    db = _connected(path)
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


def _damage(why: str) -> str:
    return f"the cache's index is damaged ({why}), which starting all gateways of this cache anew mends"


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
