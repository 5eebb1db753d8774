"""Whose a file is, where that keeps this process from using it; and how that is said."""

import os
import pwd
import stat
from pathlib import Path

from apprproxy.core.errors import StoreFailed


def refuse_foreign(path: Path) -> None:
    """sqlite opens what it may only read, and fails at each write. Raises StoreFailed."""
    if not path.exists() or os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise StoreFailed(
            f"{path} is {called(owner)}'s, and this process may not write it: end whatever uses the cache, and"
            f" `chown --reference={path.parent} {path}`"
        )


def foreign(path: Path, *, wanted: int = os.R_OK | os.W_OK) -> str:
    """Whose it is, where that keeps this process from using it, as far as is ``wanted``; empty otherwise. ``path`` is
    within reach. Raises OSError."""
    facts = path.stat()
    wanted |= os.X_OK if stat.S_ISDIR(facts.st_mode) else 0
    fine = os.access(path, wanted, effective_ids=True) or os.statvfs(path).f_flag & os.ST_RDONLY
    return "" if fine or facts.st_uid == os.geteuid() else called(facts.st_uid)


def me() -> str:
    return called(os.geteuid())


def trouble(error: OSError) -> str:
    """A disk on which this user may not do something has not failed."""
    whose = f"may not be used by {me()}" if isinstance(error, PermissionError) else "failed"
    return f"the cache's disk {whose}: {error.strerror}"


def called(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
