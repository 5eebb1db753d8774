"""A file in ``ingest/`` that this process alone may write (``locked.py``), and where it goes. A committed file is never
written through an old descriptor."""

import fcntl
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from apprproxy.core.digest import Check, Digest, MalformedDigest
from apprproxy.core.model import MIB
from apprproxy.store.directory.locked import is_at, locked, made
from apprproxy.store.directory.whole import sync_directory

_READ = 1 * MIB


@dataclass(slots=True)
class OpenPart:
    """``check`` has seen all that this process wrote, and all that is in the file after ``rehash``."""

    fd: int
    path: Path
    check: Check = field(default_factory=Check)

    @property
    def sidecar(self) -> Path:
        return self.path.with_suffix(".json")

    def rehash(self, next_piece: Callable[[], None]) -> None:
        """Look at what is there already. Blocking, at the disk's speed."""
        while piece := os.pread(self.fd, _READ, self.check.size):
            self.check.update(piece)
            next_piece()

    def remove(self) -> None:
        """Whoever reads it goes on reading; whoever comes next begins a new file. Nothing is ever truncated."""
        if is_at(self.fd, self.path):
            self.sidecar.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def reader(self) -> int:
        """A descriptor of its own: a duplicate would hold the lock for as long as somebody reads."""
        return os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)

    def close(self) -> None:
        """Duplicates may live on; the lock does not."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


def new_part(folder: Path, algorithm: str) -> OpenPart:
    """A file that nobody else knows of."""
    fd, path = made(lambda: folder / f"{secrets.token_hex(16)}.part", os.O_RDWR, 0o600)
    return OpenPart(fd, path, Check(algorithm))


def open_part(path: Path) -> tuple[int, bool]:
    """The file of that name, made if there is none, and whether it is locked by us: if not, somebody else writes it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        ours = locked(fd)
        if is_at(fd, path):
            return fd, ours
        os.close(fd)


def blob_path(root: Path, digest: Digest) -> Path:
    return root / "blobs" / digest.algorithm / digest.hex


def link_path(root: Path, unpacked: Digest) -> Path:
    """Of the link from a tar to the package that holds it."""
    return root / "unpacked" / unpacked.algorithm / unpacked.hex


def linked_content(root: Path, unpacked: Digest) -> Digest | None:
    """The content digest kept for a tar; None where there is none, or what is there is no name of a blob."""
    try:
        target = os.readlink(link_path(root, unpacked))
        return Digest("sha256", target.rpartition("/")[2])
    except (OSError, MalformedDigest):
        return None


def held_content(root: Path, unpacked: Digest) -> Digest | None:
    """The same, as long as its bytes are there."""
    first = linked_content(root, unpacked)
    return first if first is not None and blob_path(root, first).exists() else None


def link_unpacked(root: Path, unpacked: Digest, target: Path, part: Path) -> None:
    """The first content digest seen for a tar is kept, as long as its bytes are. ``part`` is a path of our own."""
    if held_content(root, unpacked) is not None:
        return
    link = link_path(root, unpacked)
    part.unlink(missing_ok=True)  # a killed process may have left it
    os.symlink(os.path.relpath(target, link.parent), part)
    os.replace(part, link)
    sync_directory(link.parent)
