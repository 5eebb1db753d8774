"""A small file that is whole at every moment: written aside, synced, renamed.

What a killed process left half written aside is removed by the next one that writes: nobody holds its lock.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from glob import escape
from pathlib import Path

from apprproxy.core.errors import StoreFailed
from apprproxy.store.owner import give, make_folder
from apprproxy.store.part import is_at


def write_whole(path: Path, content: bytes) -> None:
    """Makes the folder, too. Blocking; raises StoreFailed."""
    try:
        make_folder(path.parent)
        _sweep(path)
        fd, part = _new(path)
        try:
            with open(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
                part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}") from error


def _new(path: Path) -> tuple[int, Path]:
    """Locked until it is closed."""
    while True:
        part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        give(fd, path.parent)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if is_at(fd, part):
            return fd, part
        os.close(fd)  # another process took it for abandoned before it was locked


def _sweep(path: Path) -> None:
    for part in path.parent.glob(f".{escape(path.name)}-*"):
        with suppress(OSError):
            fd = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
            finally:
                os.close(fd)


def read_whole(path: Path, limit: int) -> bytes | None:
    """None where there is none, or it is larger than anything that was written. Blocking; raises StoreFailed."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}") from error
    return content if len(content) <= limit else None
