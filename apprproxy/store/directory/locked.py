"""A file that this process alone has: locked, and where its path says it is.

- The lock is advisory and goes with the process, so a free lock means that nobody is at work there.
- A path may be renamed or unlinked between opening and locking: only if the descriptor is still what the path names is
  the file ours.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def is_at(fd: int, path: Path) -> bool:
    """Is this descriptor's file the one that the path names now?"""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def locked(fd: int) -> bool:
    """By us, from now on; False where somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def left(path: Path) -> Iterator[os.stat_result | None]:
    """The facts of a file that nobody has, which is ours meanwhile; None where there is none."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(fd)
        yield found if stat.S_ISREG(found.st_mode) and locked(fd) and is_at(fd, path) else None
    finally:
        os.close(fd)


def removed(path: Path) -> bool:
    """Unless somebody has it; says whether there was one. Raises OSError."""
    with left(path) as found:
        if found is not None:
            path.unlink(missing_ok=True)
        return found is not None


def made(path: Callable[[], Path], how: int, mode: int) -> tuple[int, Path]:
    """A new file, ours until it is closed; ``path`` gives another name each time."""
    while True:
        new = path()
        fd = os.open(new, how | os.O_CREAT | os.O_EXCL, mode)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if is_at(fd, new):
            return fd, new
        os.close(fd)  # another process took it for abandoned before it was locked
