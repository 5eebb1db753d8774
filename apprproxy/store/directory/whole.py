"""A small file that is whole at every moment: written aside, synced, renamed.

What a killed process left half written aside is removed by the next one that writes: nobody holds its lock.
"""

import os
import secrets
from contextlib import suppress
from glob import escape
from pathlib import Path

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory.locked import made, removed


def write_whole(path: Path, content: bytes) -> None:
    """Blocking; raises StoreFailed, also where there is no folder: a cache that was moved away would be there again,
    with this file alone in it, and be none at the next start."""
    try:
        _sweep(path)
        fd, part = made(lambda: path.with_name(f".{path.name}-{secrets.token_hex(4)}"), os.O_WRONLY, 0o644)
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


def _sweep(path: Path) -> None:
    for part in path.parent.glob(f".{escape(path.name)}-*"):
        with suppress(OSError):
            removed(part)


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


def sync_directory(path: Path) -> None:
    """What was renamed into it, or out of it, stays so after a power cut. Blocking; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
