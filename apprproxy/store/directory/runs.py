"""Which gateways run on a cache, by a locked file for each; a file that nobody holds is left of one that did not end.

The log of a gateway that was killed does not say so: the one that comes next does.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from apprproxy.core.model import Clock
from apprproxy.store.directory.locked import locked, removed

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_MOST = 1000
"""Bytes of such a file that are read: anybody may have put it there."""


@dataclass(frozen=True, slots=True)
class Left:
    """Of one that did not end: when it had begun, and when it last gave a sign that it lives."""

    begun: float
    seen: float


class Run:
    """A file of our own in ``directory``, from now until ``close``; ``sign`` it now and then. ``broken_off`` are those
    of which nothing but the file is left; they are told once. ``others`` are caps, in bytes, that gateways beside this
    one have and that are not its own. Blocking."""

    def __init__(self, directory: Path, max_size: int, now: Clock) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self.broken_off: list[Left] = []
        self.others: set[int] = set()
        self._now = now
        for path in sorted(directory.glob("*.run")):
            with suppress(OSError):
                self._look(path)
        self.others.discard(max_size)
        for path in directory.glob("*.new"):
            with suppress(OSError):
                removed(path)
        self._fd, self._path = _made(directory, orjson.dumps({"begun": now(), "max_size": max_size}))
        self.sign()

    def _look(self, path: Path) -> None:
        fd = os.open(path, _FLAGS)
        try:
            said, seen = _said(os.pread(fd, _MOST, 0)), os.fstat(fd).st_mtime
            if not locked(fd):
                self.others |= _told(said)
                return
            path.unlink()
            begun = said.get("begun", seen)
            self.broken_off.append(Left(begun if 0 <= begun <= seen else seen, seen))
        finally:
            os.close(fd)

    def sign(self) -> None:
        """That it lives."""
        with suppress(OSError):
            os.utime(self._path, (self._now(), self._now()), follow_symlinks=False)

    def close(self) -> None:
        with suppress(OSError):  # on a disk that only reads by now: then the next one takes it for left
            self._path.unlink(missing_ok=True)
        os.close(self._fd)


def caps(directory: Path) -> set[int]:
    """In bytes, of the gateways that run; makes nothing there. Blocking."""
    found: set[int] = set()
    for path in directory.glob("*.run"):
        with suppress(OSError):
            found |= _cap(path)
    return found


def _cap(path: Path) -> set[int]:
    """Nothing where nobody holds it."""
    fd = os.open(path, _FLAGS & ~os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(_said(os.pread(fd, _MOST, 0)))
    finally:
        os.close(fd)
    return set()


def _told(said: dict[str, float]) -> set[int]:
    return {int(said["max_size"])} if "max_size" in said else set()


def _made(directory: Path, said: bytes) -> tuple[int, Path]:
    """Locked and written before it is one that others look at. Raises OSError, and leaves nothing then."""
    while True:
        path = directory / f"{secrets.token_hex(8)}.run"
        new = path.with_suffix(".new")
        fd = os.open(new, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, said)
            new.rename(path)
        except FileNotFoundError:  # another process took it for abandoned before it was locked
            os.close(fd)
        except BaseException:
            new.unlink(missing_ok=True)
            os.close(fd)
            raise
        else:
            return fd, path


def _said(content: bytes) -> dict[str, float]:
    """Numbers by name; nothing where it is something else."""
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return {key: one for key, one in said.items() if isinstance(one, (int, float))} if isinstance(said, dict) else {}
