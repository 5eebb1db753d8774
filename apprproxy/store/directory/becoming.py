"""Root becomes whoever could lead it astray, before it touches anything of a cache.

Whoever may write in a folder may put links there, and other folders in place of those that were looked at, while
somebody is at work in it: root would write, remove and read where they please. Their owner can do no more than they
could themselves.
"""

import errno
import os
import pwd
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory.owner import called

_MAY_NOT = {errno.EPERM, errno.EINVAL}
"""Root without that capability, as containers have it; an owner whom its user namespace does not know."""

_LINKS = 40
"""One after another, as the system follows them."""


@dataclass(frozen=True, slots=True)
class Owner:
    """``path`` is what belongs to them: the cache, or what leads to it."""

    path: Path
    uid: int
    gid: int

    @property
    def name(self) -> str:
        return called(self.uid)


def owner_of(directory: Path) -> Owner | None:
    """Who is to be become for this cache: the first who is not root, from ``/`` on to what lies in it; None where all
    is root's, or this process is not root. Absolute. What is not there yet counts as its folder does."""
    if os.geteuid() == 0:
        with suppress(OSError):  # the rest is not there, or cannot be used by root either
            for path, facts in _walked(directory / "blobs"):  # root may have made the folder for somebody's group
                if facts.st_uid != 0:
                    return Owner(path, facts.st_uid, facts.st_gid)
    return None


def become(owner: Owner) -> bool:
    """For good, and as a whole process: before there are threads. False where this root may not, and goes on.

    Raises StoreFailed where nothing more could be done as that user; end the process then, for it is neither."""
    folders = _folders()
    try:
        os.seteuid(owner.uid)
        os.seteuid(0)
        gid = _take_groups(owner)
        os.setresgid(gid, gid, gid)
    except OSError as error:
        if error.errno not in _MAY_NOT:
            raise
        return False
    os.seteuid(owner.uid)
    _refuse_unreadable(folders, owner)
    os.setresuid(owner.uid, owner.uid, owner.uid)
    _refuse_a_way_back(owner)
    return True


def _walked(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each folder, and each link, on the way there. Raises OSError."""
    at, names, links = Path("/"), [*reversed(path.parts)], 0
    while names:
        name = names.pop()
        here = at.parent if name == ".." else at / name
        yield here, (facts := here.lstat())
        if stat.S_ISLNK(facts.st_mode):
            if (links := links + 1) > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            names += reversed(here.readlink().parts)
        else:
            at = here


def _take_groups(owner: Owner) -> int:
    """Those that a gateway of that user's has; the main one is returned. Raises OSError."""
    try:
        entry = pwd.getpwuid(owner.uid)
    except KeyError:
        os.setgroups([])
        return owner.gid
    os.initgroups(entry.pw_name, entry.pw_gid)
    return entry.pw_gid


def _folders() -> list[str]:
    """That this program is read from, and will be: not all of it is loaded yet."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return sorted(folder for folder in {os.path.dirname(file) for file in files if file} if os.path.isdir(folder))


def _refuse_unreadable(folders: list[str], owner: Owner) -> None:
    for folder in folders:
        if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
            raise StoreFailed(
                f"{owner.path} is {owner.name}'s, and root touches nothing there itself; but {owner.name} may not read"
                f" {folder}, where this program is: install it where that user may, not below /root, or run it as"
                f" {owner.name}"
            )


def _refuse_a_way_back(owner: Owner) -> None:
    with suppress(PermissionError):
        os.seteuid(0)
        raise StoreFailed(f"root cannot be given up here, and {owner.path} is {owner.name}'s: run this as {owner.name}")
