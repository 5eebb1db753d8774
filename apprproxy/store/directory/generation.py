"""A number that all processes of a cache share: whoever changes names draws another, whoever remembers them reads it.

- Reading is one system call of some microseconds, so it can be done on every hit. A mapped page would be less, and end
  the process by a signal where the disk is full or the file was cut short.
- It is drawn, not counted: a file that was cut short, or that an older copy ran over, never comes back to a number by
  which somebody still remembers something.
"""

import os
import secrets
from pathlib import Path

from apprproxy.core.errors import StoreFailed

_SIZE = 8


class Generation:
    """Raises StoreFailed where it cannot be opened. ``close`` it."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if os.fstat(self._fd).st_size < _SIZE:
                self._write(0)
        except OSError as error:
            raise StoreFailed(f"{path} cannot be used: {error.strerror}") from error

    def read(self) -> int:
        """Where it cannot be read, another one each time: then nothing is taken from memory."""
        try:
            there = os.pread(self._fd, _SIZE, 0)
        except OSError:
            there = b""
        return int.from_bytes(there, "little") if len(there) == _SIZE else -_drawn()

    def bump(self) -> None:
        """Every process forgets what it remembers in memory. Raises StoreFailed."""
        try:
            self._write(_drawn())
        except OSError as error:
            raise StoreFailed(f"other processes cannot be told what changed: {error.strerror}") from error

    def _write(self, number: int) -> None:
        os.pwrite(self._fd, number.to_bytes(_SIZE, "little"), 0)

    def close(self) -> None:
        os.close(self._fd)


def _drawn() -> int:
    return secrets.randbits(63) + 1
