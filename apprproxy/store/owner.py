"""What root makes in a cache is its owner's: a gateway that is nobody else could neither write nor remove it.

Only what has no other name: to give away what somebody linked there would be to give away any file.
"""

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from apprproxy.core.errors import StoreFailed


def give(fd: int, folder: Path) -> None:
    """A file, or a folder, that this process may just have made in ``folder``, to whom that belongs. Raises OSError."""
    facts = os.fstat(fd)
    if os.geteuid() == 0 and (facts.st_nlink == 1 or stat.S_ISDIR(facts.st_mode)):
        owner = os.stat(folder)
        os.fchown(fd, owner.st_uid, owner.st_gid)


def begin(path: Path) -> None:
    """An empty file, for a library that would make it itself; one that is there is not even opened: to close it would
    end the locks that others in this process have on it. Raises OSError."""
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give(fd, path.parent)
        finally:
            os.close(fd)


def make_folder(path: Path) -> None:
    """Unless it is there. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give(fd, path.parent)
    finally:
        os.close(fd)


def refuse_foreign(path: Path) -> None:
    """sqlite opens what it may only read, and fails at each write. Raises StoreFailed."""
    if not path.exists() or os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise StoreFailed(
            f"{path} is {_called(owner)}'s, and this process may not write it: end whatever uses the cache, and"
            f" `chown --reference={path.parent} {path}`"
        )


def foreign(path: Path) -> str:
    """Whose it is, where that keeps this process from using it; empty otherwise. ``path`` is within reach. Raises
    OSError."""
    facts, wanted = path.stat(), os.R_OK | os.W_OK
    wanted |= os.X_OK if stat.S_ISDIR(facts.st_mode) else 0
    fine = os.access(path, wanted, effective_ids=True) or os.statvfs(path).f_flag & os.ST_RDONLY
    return "" if fine or facts.st_uid == os.geteuid() else _called(facts.st_uid)


def me() -> str:
    return _called(os.geteuid())


def trouble(error: OSError) -> str:
    """A disk on which this user may not do something has not failed."""
    whose = f"may not be used by {me()}" if isinstance(error, PermissionError) else "failed"
    return f"the cache's disk {whose}: {error.strerror}"


def _called(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
