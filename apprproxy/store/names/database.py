"""The names' database as a process reaches it: from threads of its own, and always the file that is at its path now."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Observer
from apprproxy.store.directory.place import SPARE
from apprproxy.store.directory.relief import MAY_GO, free_space
from apprproxy.store.directory.salvage import DAMAGED
from apprproxy.store.names.sound import Age, mark, sound_records
from apprproxy.store.names.writing import Writing
from apprproxy.store.rounds import Rounds

_AWAY = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
"""The disk, or what stands beside the file, is not there; it may come back."""

T = TypeVar("T")


class Database:
    """``records`` and transactions on them (``writing``) are for the calls that it carries out. ``damage`` says what
    was found wrong with the file since it was opened, ``away`` that it could not be read the last time; both are empty
    otherwise. ``close`` when done."""

    def __init__(self, directory: Path, observer: Observer, age: Age) -> None:
        """Raises StoreFailed; blocking."""
        self._path = directory / "cache.db"
        try:
            self.records = sound_records(directory, observer, age)
        except Exception as error:
            why = f"the disk is full ({error}): {MAY_GO}" if _is_full(error, directory) else str(error)
            raise StoreFailed(f"the names in {directory} cannot be opened: {why}") from error
        self.damage = self.away = ""
        self.writing = Writing(self.records)
        self._opened = threading.local()
        self._readers = Rounds(2, "names-reader")
        self._writer = Rounds(1, "names-writer")  # so that no question waits for one

    async def read(self, whom: str, call: Callable[..., T], *args: Any) -> T:
        """``whom`` it is for, who have their turns; raises StoreFailed."""
        done = await self._carried_out(self._readers, whom, call, *args)
        self.away = ""
        return done

    async def write(self, whom: str, call: Callable[..., T], *args: Any) -> T:
        """Likewise."""
        return await self._carried_out(self._writer, whom, call, *args)

    def still_away(self) -> str:
        """``away``, after another look: who is sent no clients any more would not learn that it is over. Blocking."""
        if self.away:
            with suppress(Exception):
                self._where_it_is(self.records.get, "owner")
                self.away = ""
        return self.away

    async def _carried_out(self, rounds: Rounds, whom: str, call: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(rounds.of(whom), self._where_it_is, call, *args)
        except StoreFailed:
            raise
        except Exception as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if rounds is self._readers and (code in _AWAY or isinstance(error, OSError)):
                self.away = f"the names cannot be read: {error}"
            if code in DAMAGED:
                damage = f"the names are damaged ({error}), which starting anew mends as far as it can be"
                self.damage = damage  # which another thread may have taken back by the next line
                mark(self._path)
                raise StoreFailed(damage) from error
            raise StoreFailed(f"the names cannot be read or written: {error}") from error

    def _where_it_is(self, call: Callable[..., T], *args: Any) -> T:
        """In a thread: another process may set the file aside and begin it anew, before this or meanwhile. Then it is
        done once more, for what was written came maybe too late to be taken over."""
        while True:
            file = self._file()
            if file is not None and getattr(self._opened, "file", file) != file:
                self.records.close()  # this thread's connection, which is opened anew where it is needed
                self.damage = ""
            self._opened.file = file or getattr(self._opened, "file", file)
            try:
                done = call(*args)
            except sqlite3.Error:  # what was met in a file that has gone says nothing of the one in its place
                if self._file() in (file, None):
                    raise
                continue
            if self._file() in (file, None):
                return done

    def _file(self) -> tuple[int, int] | None:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return None
        return there.st_dev, there.st_ino

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self.records.close()


def _is_full(error: Exception, directory: Path) -> bool:
    """Also where it has no room for what sqlite keeps beside the file, which is told as if the disk had failed."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and free_space(directory) < SPARE)
