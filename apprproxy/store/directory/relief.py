"""How much goes where the disk is full below the cap: a little, and more only where that was of use.

Whoever else fills the disk takes what was made free as well: all that is held would go, for nothing.
"""

import os
from math import inf
from pathlib import Path
from sys import maxsize
from threading import Lock

from apprproxy.core.model import MIB, Clock

FULL = "the cache's disk is full: free space, lower cache.max_size, or move cache.directory"
MAY_GO = (
    "free space; while no gateway runs, any index.db.broken-*, and any file in blobs/ and quarantine/ may be deleted"
)
NO_FILES = "the cache's disk has no inodes left (df -i): remove files, or move cache.directory"

STEP = 64 * MIB
"""Bytes that go at a time."""
FILES = 32
"""Blobs that go at a time where it is files that the disk has no more room for: a transfer needs three or four."""
AGAIN = 3600.0
"""Seconds until something goes once more although the last time was of no use."""
SOON = 60.0
"""Likewise where nothing went, since the index could not be written."""


class Relief:
    """For threads. Counts bytes, or files, but not both."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._lock = Lock()
        self._at = -inf
        self._freed = 0
        self._left = 0

    def wanted(self, held: int, written: int) -> bool:
        """May something go, of so many bytes, or files, ``held``? Of use it was if half of what went last has been kept
        since, or ``written`` of the transfer that could not go on. Tell ``went`` if so."""
        with self._lock:
            used = held - self._left + written
            if 0 <= self._now() - self._at < AGAIN and used < self._freed / 2:
                return False
            self._at, self._freed, self._left = self._now(), STEP, held
            return True

    def failed(self) -> None:
        """Nothing went."""
        with self._lock:
            self._at = self._now() - AGAIN + SOON

    def went(self, freed: int, left: int) -> None:
        with self._lock:
            self._freed, self._left = freed, left


def lacks_files(root: Path) -> bool:
    """Is it the number of files (inodes) that the disk has no more of?"""
    try:
        disk = os.statvfs(root)
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0


def free_space(root: Path) -> int:
    """Bytes. Without end where the disk has no size of its own (ramfs, a tmpfs without a limit): it says 0 of 0. Raises
    OSError."""
    disk = os.statvfs(root)
    return disk.f_bavail * disk.f_frsize if disk.f_blocks else maxsize
