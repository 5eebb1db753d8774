"""The sqlite file of the index: always one that can be used, and what goes wrong with it is StoreFailed.

- One connection writes and one reads, each under a lock. Writes exclude one another in sqlite anyway; the second is
  there so that nobody who only asks waits for an eviction. More connections would be more caches of the same pages:
  there is another only while a whole table is read.
- It is sound when it is opened (``sound.py``). One that breaks while it is open goes on being used as far as it can be,
  and ``damage`` says so.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from apprproxy.core.errors import NoRoom, StoreFailed
from apprproxy.core.events import Observer
from apprproxy.core.model import MIB
from apprproxy.store.directory import sharing
from apprproxy.store.directory.owner import trouble
from apprproxy.store.directory.relief import FULL
from apprproxy.store.directory.salvage import DAMAGED
from apprproxy.store.index.sound import connected, sound_index
from apprproxy.store.index.users import Users

LONG = MIB
"""Bytes of the log that are worth giving back, where the disk is full: each time costs a sync."""


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
            self._writer = sound_index(self._path, self._users, self._observer)
            if self._users.suspicious:
                self._users.clear()
            self._reader = connected(self._path)
        if self._users.marked:
            self.damage = _damage("another process of this cache met a broken page")

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
        with self._watched(), closing(connected(self._path)) as db:
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


def _damage(why: str) -> str:
    return f"the cache's index is damaged ({why}), which starting all gateways of this cache anew mends"
