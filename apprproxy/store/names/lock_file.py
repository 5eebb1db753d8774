"""A lock file on disk: read again when it changes, and written so that it is whole at every moment.

A new version that cannot be read leaves the old one in force, and is told once.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.lock import MAX_TEXT, BadLock, Lock, parse, written

Locks = Callable[[], Lock]
"""The lock as it is now."""
_Stamp = tuple[int, int, int] | None


def read(path: Path) -> Lock:
    """Raises BadLock, which names the file."""
    try:
        with path.open(encoding="utf-8") as file:
            return parse(file.read(MAX_TEXT + 1))
    except OSError as error:
        raise BadLock(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadLock(f"{path}: not UTF-8") from None
    except BadLock as error:
        raise BadLock(f"{path}: {error}") from None


def watched(path: Path, trouble: Callable[[str], None], renewed: Callable[[], None] = lambda: None) -> Locks:
    """Reads now, which raises BadLock, and again whenever the file changes; ``renewed`` is told of it then, or
    ``trouble`` why it could not."""
    stamp, kept = _stamp(path), read(path)

    def lock() -> Lock:
        nonlocal stamp, kept
        now = _stamp(path)
        if now != stamp:
            stamp = now
            try:
                kept = read(path)
            except BadLock as error:
                trouble(f"{error}; the version from before stays in force")
            else:
                renewed()
        return kept

    return lock


def _stamp(path: Path) -> _Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def update(path: Path, names: Mapping[str, Digest]) -> dict[str, Digest | None]:
    """Put names into the file, which is made if there is none; returns what each that is new or changed was before.

    What else stands there stays. Raises BadLock, also where the file that is there cannot be read.
    """
    path = path.resolve()  # a link stays one
    try:
        with _alone(path.parent):
            old = _there(path)
            changed = {name: old.get(name) for name, digest in names.items() if old.get(name) != digest}
            if changed:
                text = written(Lock.of({**old, **names}).names)
                parse(text)  # what is written can be read: it is not too large
                _replace(path, text)
    except OSError as error:
        raise BadLock(f"{path}: {error.strerror}") from None
    return changed


def _there(path: Path) -> Mapping[str, Digest]:
    try:
        return read(path).names if path.exists() else {}
    except BadLock as error:
        raise BadLock(f"{error}; it is left as it is: mend it, or move it away") from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer at a time: the other's names would be lost."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
        os.fsync(fd)
    finally:
        os.close(fd)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
