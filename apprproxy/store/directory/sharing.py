"""A sqlite file that several processes use: who may open it, and how long one waits for another."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apprproxy.store.directory.owner import refuse_foreign

PATIENCE = 5.0
"""Seconds that a transaction waits for the others of its process, and again for those of other processes: each of these
takes tenths of one."""

IMPATIENCE = 0.05
"""Likewise once one has waited in vain, until one gets through: a client waits for several of them, and a process that
was stopped amid its own holds everybody up for as long as it stands."""


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """One process at a time opens and, where there is need, replaces the file. Raises StoreFailed where it is somebody
    else's, and OSError."""
    lock = path.with_suffix(".lock")
    for file in (lock, path):
        refuse_foreign(file)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
