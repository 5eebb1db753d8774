"""A counter that all processes of a cache share: whoever changes names raises it, whoever remembers them reads it.

Reading is a memory access, so it can be done on every hit.
"""

import fcntl
import mmap
import os
import struct
import threading
from pathlib import Path

_COUNTER = struct.Struct("<Q")


class Generation:
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._fd).st_size < _COUNTER.size:
            os.ftruncate(self._fd, _COUNTER.size)
        self._map = mmap.mmap(self._fd, _COUNTER.size)
        self._one_at_a_time = threading.Lock()

    def read(self) -> int:
        (value,) = _COUNTER.unpack_from(self._map)
        return int(value)

    def bump(self) -> None:
        """Every process forgets what it remembers in memory."""
        with self._one_at_a_time:  # the lock on the file excludes other processes, and no thread of this one
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                _COUNTER.pack_into(self._map, 0, self.read() + 1)
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
