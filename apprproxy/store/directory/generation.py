"""A number that all processes of a cache share: whoever changes names draws another, whoever remembers them reads it.

There is one of all, for what is held in memory, and one of each upstream or view, for what was asked before names of it
changed: whoever may push to one as often as they like must not keep what others say from being remembered.

- Reading is one system call of some microseconds, so it can be done on every hit. A mapped page would be less, and end
  the process by a signal where the disk is full or the file was cut short.
- It is drawn, not counted: a file that was cut short, or that an older copy ran over, never comes back to a number by
  which somebody still remembers something.
"""

import os
import secrets
from pathlib import Path
from zlib import crc32

from apprproxy.core.errors import StoreFailed

_SIZE = 8
_OTHERS = 64
"""Numbers that upstreams and views have, of which two may have one."""


class Generation:
    """Raises StoreFailed where it cannot be opened. ``close`` it."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            self._fill()
        except OSError as error:
            raise StoreFailed(f"{path} cannot be used: {error.strerror}") from error

    def read(self, of: str = "") -> int:
        """That of an upstream or a view, or of all. Where it cannot be read, another one each time: then nothing is
        taken from memory."""
        try:
            there = os.pread(self._fd, _SIZE, _place(of))
        except OSError:
            there = b""
        return int.from_bytes(there, "little") if len(there) == _SIZE else -_drawn()

    def bump(self, *of: str) -> None:
        """Every process forgets what it remembers in memory, and what is asked now of these upstreams and views. Raises
        StoreFailed."""
        try:
            self._fill()  # it may have been cut short meanwhile
            for one in (*of, ""):
                os.pwrite(self._fd, _written(), _place(one))
        except OSError as error:
            raise StoreFailed(f"other processes cannot be told what changed: {error.strerror}") from error

    def _fill(self) -> None:
        """Those that are missing. Where two processes do so at once, the numbers of the first are only drawn again."""
        there = os.fstat(self._fd).st_size // _SIZE
        if there <= _OTHERS:
            missing = b"".join(_written() for _ in range(there, _OTHERS + 1))
            os.pwrite(self._fd, missing, there * _SIZE)

    def close(self) -> None:
        os.close(self._fd)


def _place(of: str) -> int:
    return _SIZE * (1 + crc32(of.encode()) % _OTHERS) if of else 0


def _written() -> bytes:
    return _drawn().to_bytes(_SIZE, "little")


def _drawn() -> int:
    return secrets.randbits(63) + 1
