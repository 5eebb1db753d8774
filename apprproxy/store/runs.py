"""Which gateways run on a cache, by a locked file for each; a file that nobody holds is left of one that did not end.

The log of a gateway that was killed does not say so: the one that comes next does.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Run:
    """A file of our own in ``directory``, from now until ``close``. ``broken_off`` is when those had begun of which
    nothing but the file is left; they are told once. Blocking."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self.broken_off = _left(directory)
        self._path = directory / f"{secrets.token_hex(8)}.run"
        self._fd = os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def _left(directory: Path) -> list[float]:
    found = []
    for path in sorted(directory.glob("*.run")):
        with suppress(OSError):
            fd = os.open(path, _FLAGS)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                begun = os.fstat(fd).st_mtime
                path.unlink()
                found.append(begun)
            finally:
                os.close(fd)
    return found
