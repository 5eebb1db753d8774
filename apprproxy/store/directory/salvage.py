"""What can still be read of a damaged sqlite file: the rows before the first bad page, and those after the last.

The usual damage is a file that was copied over while somebody had it open: it is whole, and the log beside it is of
another one. So the file is read by itself, and then as its log would have it; and never by whoever may write, for the
last of those to leave would write that log into it.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from apprproxy.store.directory.whole import sync_directory

PATIENCE = 10.0
"""Seconds for a writer of another process."""
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SECTOR = 4096
_FEW = 0.1
_CODE = re.compile("unable to get the page. error code=([0-9]{1,9})")
_HEADING = "*** in database main ***\n"
_ALONE, _WITH_LOG = "mode=ro&immutable=1", "mode=ro"


def salvaged(path: Path, query: str, by: str) -> Iterator[tuple[Any, ...]]:
    """The rows of ``query``, most of them several times; ``by`` is what they can be put into order by."""
    for how in (_ALONE, _WITH_LOG):
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.Error), closing(_connected(path, how)) as db:
                yield from db.execute(f"{query} ORDER BY {by} {order}")


def refuse_damaged(path: Path, *, keys: bool = False) -> None:
    """Look through all of it; raises sqlite3.DatabaseError with what is wrong. One that is not there is sound.
    ``keys``: also whether each leads to its own row, in three times the time."""
    if not path.exists():
        return
    with closing(_connected(path, _WITH_LOG)) as db:
        ((said,),) = db.execute(f"PRAGMA {'integrity' if keys else 'quick'}_check(1)").fetchall()
    if said != "ok":
        told = _CODE.search(str(said))  # of a page that the disk did not give: that is told like any other damage
        what = str(said).removeprefix(_HEADING)
        raise broken(what, int(told[1]) if told else sqlite3.SQLITE_CORRUPT)


def refuse_rows(path: Path, table: str, which: str) -> None:
    """Raises sqlite3.DatabaseError where the table has a row of which the expression is not true."""
    if not path.exists():
        return
    with closing(_connected(path, _WITH_LOG)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return
        if db.execute(f"SELECT 1 FROM {table} WHERE ({which}) IS NOT TRUE LIMIT 1").fetchone():
            raise broken("it has a row that this program cannot have written")


def broken(why: str, code: int = sqlite3.SQLITE_CORRUPT) -> sqlite3.DatabaseError:
    """As sqlite has it where a page is."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = code
    return error


def is_damage(error: sqlite3.DatabaseError, path: Path) -> bool:
    """Of the file, as against what passes: a lock, a full disk, a disk that is away."""
    code = error.sqlite_errorcode & 0xFF
    return code in DAMAGED or (code == sqlite3.SQLITE_IOERR and _has_bad_sectors(path))


def _has_bad_sectors(path: Path) -> bool:
    """Does the disk not give some of it, and most? One that gives nothing may be back later, with all of it."""
    size = path.stat().st_size
    fd = os.open(path, os.O_RDONLY)
    try:
        bad = sum(not _given(fd, at) for at in range(0, size, _SECTOR))
    finally:
        os.close(fd)
    return 0 < bad * _SECTOR <= max(_SECTOR, size * _FEW)


def _given(fd: int, at: int) -> bool:
    try:
        os.pread(fd, _SECTOR, at)
    except OSError:
        return False
    return True


def _connected(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(os.fsencode(path))}?{how}", timeout=PATIENCE, uri=True)
    db.execute("PRAGMA trusted_schema = OFF")
    db.text_factory = lambda raw: raw.decode(errors="replace")
    return db


def replace(path: Path, new: Path) -> Path:
    """Put a sound file, which is complete and closed, into the place of a broken one, which is kept for whoever wants
    to know, with its log. At no moment is there neither, nor a log of the one beside the other; ``finish`` goes on
    where this was broken off. Returns where the broken one is. Blocking; raises OSError."""
    os.replace(new, _ready(path))
    sync_directory(path.parent)
    return finish(path) or path


def finish(path: Path) -> Path | None:
    """A ``replace`` that was broken off: where the broken file is now. None where there was nothing to do."""
    if not _ready(path).exists():
        return None
    aside = _free(path)
    with suppress(FileNotFoundError):
        os.link(path, aside)
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}-wal").rename(f"{aside}-wal")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    os.replace(_ready(path), path)
    sync_directory(path.parent)
    return aside


def broken_off(path: Path) -> list[Path]:
    """Of a ``replace`` that was, with the broken file still in its place: what was to come there, and the broken one as
    it may have been linked by then, for its log lies beside that. ``replace`` begins anew; ``finish`` would go on."""
    ready = _ready(path)
    return [ready, *_linked(path, path)[1:]] if ready.exists() and path.exists() else []


def last_aside(path: Path) -> list[Path]:
    """The file that was set aside last, by each of its names."""
    numbers = _numbers(path)
    return _linked(path, _aside(path, max(numbers))) if numbers else []


def drop_aside(path: Path) -> bool:
    """What was set aside goes, where its room is needed; says whether there was any. Blocking; raises OSError."""
    numbers = _numbers(path)
    for aside in (_aside(path, number) for number in numbers):
        aside.unlink(missing_ok=True)
        aside.with_name(f"{aside.name}-wal").unlink(missing_ok=True)
    return bool(numbers)


def _linked(path: Path, file: Path) -> list[Path]:
    others = (_aside(path, number) for number in sorted(_numbers(path)))
    return [file, *(one for one in others if one != file and one.exists() and file.exists() and one.samefile(file))]


def _ready(path: Path) -> Path:
    return path.with_name(f"{path.name}.anew")


def _free(path: Path) -> Path:
    return _aside(path, max(_numbers(path), default=0) + 1)


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.broken-{number}")


def _numbers(path: Path) -> set[int]:
    """Those that are taken, be it by a log alone."""
    named = re.compile(rf"{re.escape(path.name)}\.broken-([0-9]{{1,9}})(?:-wal)?")
    return {int(found[1]) for one in path.parent.iterdir() if (found := named.fullmatch(one.name))}
