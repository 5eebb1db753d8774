"""What root makes in a cache is its owner's: a gateway that is nobody else could neither write nor remove it.

Only what it made itself, and never through a link: whoever may write there may have put any file of root's in its
place.
"""

import errno
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

from apprproxy.core.errors import StoreFailed

_MAY_NOT = {errno.EPERM, errno.EINVAL}
"""Root without that capability, as containers have it; a folder whose owner its user namespace does not know."""


def give(fd: int, folder: Path) -> None:
    """A file, or a folder, that this process has just made in ``folder``, to whom that belongs, as far as it may: who
    cannot write what stays root's is told so (``refuse_foreign``). Raises OSError."""
    if os.geteuid() != 0:
        return
    owner = os.stat(folder)
    try:
        os.fchown(fd, owner.st_uid, owner.st_gid)
    except OSError as error:
        if error.errno not in _MAY_NOT:
            raise


def open_or_make(path: Path, flags: int) -> int:
    """A descriptor of the file, which is made and given where there is none. Raises OSError, of a link as well."""
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            with suppress(FileNotFoundError):  # another process has removed it again
                return os.open(path, flags)
            continue
        try:
            give(fd, path.parent)
        except BaseException:
            os.close(fd)
            raise
        return fd


def begin(path: Path) -> None:
    """An empty file: a mark, or for a library that would make it itself. One that is there is not even opened: to close
    it would end the locks that others in this process have on it. Raises OSError."""
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give(fd, path.parent)
        finally:
            os.close(fd)


def make_folder(path: Path) -> None:
    """Unless it is there. Raises OSError, and StoreFailed where root would be led elsewhere by somebody else's link."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        _refuse_led(path)
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not os.listdir(fd):  # it is the one that was made, or as good: nobody had anything in it
            give(fd, path.parent)
    finally:
        os.close(fd)


def _refuse_led(path: Path) -> None:
    owner = path.parent.stat().st_uid
    if path.is_symlink() and os.geteuid() == 0 != owner:
        raise StoreFailed(
            f"{path} is a link in a folder of {called(owner)}'s, which root does not follow: run this as"
            f" {called(owner)}"
        )


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
