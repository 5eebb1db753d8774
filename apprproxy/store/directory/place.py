"""A cache directory that can be relied on: local, writable, ours, and of a format that this version knows."""

import errno
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import MIB
from apprproxy.store.directory.owner import called, foreign, me
from apprproxy.store.directory.relief import free_space

FORMAT = 1
"""Of the directory as a whole. A higher one was written by a newer apprproxy and is refused."""

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "ncpfs"}
"""Advisory locks, rename and mmap do not hold there as the cache needs them to."""

SPARE = 1 * MIB
"""Bytes that a cache can be opened with. That writes, and whoever is to make room on a full disk has to do it first."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}

_FORMAT = re.compile("[0-9]{1,9}")
_OCTAL = re.compile(r"\\([0-7]{3})")
"""How mount points are written that have blanks or backslashes in them."""


_PARTS = ("blobs", "blobs/sha256", "blobs/sha512", "unpacked", "unpacked/sha256", "ingest", "names")
_OURS = {part.partition("/")[0] for part in _PARTS} | {"spare", "oci-layout", "index.json"}
"""What a start that was broken off may have left."""


def expect(directory: Path) -> None:
    """Raises StoreFailed where no gateway has kept anything, or whoever asks may not look; makes nothing."""
    try:
        if directory.exists() and not directory.is_dir():
            raise StoreFailed(f"cache.directory {directory} is no directory")
        begun = (directory / "format").exists()
    except PermissionError as error:
        raise StoreFailed(_closed(directory, error)) from error
    except OSError as error:
        raise StoreFailed(_unusable(directory, error)) from error
    if not begun:
        raise StoreFailed(
            f"there is no cache in {directory}: see whether cache.directory is right, in the file that --config names;"
            " a gateway makes one there when it starts"
        )


def foresee(directory: Path) -> None:
    """Raises StoreFailed where ``prepare`` will, as far as whoever asks may look; makes nothing."""
    with suppress(OSError):
        _refuse_unfit(directory)


def prepare(directory: Path) -> None:
    """Make the directory ready for use; raises StoreFailed with what to do about it."""
    try:
        if why := strange(directory):
            raise StoreFailed(f"cache.directory {directory}: {why}")
        _refuse_unfit(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in _PARTS:
            (directory / part).mkdir(mode=0o700, exist_ok=True)
        _keep_spare(directory)
        _write_once(directory / "format", str(FORMAT))
        _check_format(directory / "format")
        _check_file_system(directory)
        _write_once(directory / "oci-layout", '{"imageLayoutVersion":"1.0.0"}')
        _write_once(directory / "index.json", '{"schemaVersion":2,"manifests":[]}')
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreFailed(f"cache.directory {directory}: {error.filename or directory} is no directory") from error
    except OSError as error:
        raise StoreFailed(_unusable(directory, error)) from error


def strange(directory: Path) -> str:
    """That it is somebody else's, as a cache that was carried may be, and what to do about it; empty where it is not.
    Raises OSError."""
    there = next(path for path in (directory, *directory.parents) if _in_reach(path))
    if there != directory:
        owner = foreign(there, wanted=os.W_OK)
        return f"{there} is {owner}'s, and this is {me()}, who can have no cache below it" if owner else ""
    for path in (directory, *(directory / part for part in _PARTS), directory / "names" / "generation"):
        if _in_reach(path) and (owner := foreign(path)):
            run = f"run this as {owner}, or " if owner != called(0) else ""  # who would become who this is
            return (
                f"{path} is {owner}'s, and this is {me()}, who may not use it: {run}give all of it away,"
                f" `chown -R {os.geteuid()} {directory}`"
            )
    return ""


def _in_reach(path: Path) -> bool:
    return os.access(path, os.F_OK, effective_ids=True)


def nearest(directory: Path) -> Path:
    """Itself, or what of its parents there is, where it is yet to be made. Absolute. Raises OSError."""
    return next(path for path in (directory, *directory.parents) if path.exists())


def _closed(directory: Path, error: OSError) -> str:
    with suppress(OSError):
        if _in_reach(directory) and (why := strange(directory)):
            return f"cache.directory {directory}: {why}"
    return f"{_unusable(directory, error)}; run this as the user that the gateway runs as"


def _unusable(directory: Path, error: OSError) -> str:
    return f"cache.directory {directory}: {error.strerror}: {error.filename or directory}"


def _refuse_unfit(directory: Path) -> None:
    there = nearest(directory)
    if not there.is_dir():
        raise StoreFailed(f"cache.directory {directory}: {there} is no directory")
    refuse_network(directory, _file_system(directory))
    _refuse_other_files(directory)
    if (directory / "format").exists():
        _check_format(directory / "format")


def _refuse_other_files(directory: Path) -> None:
    """A cache among somebody's files would be deleted with them. A new volume has lost+found, a new home dot files."""
    if not directory.is_dir() or (directory / "format").exists():
        return
    names = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    if others := sorted(names - _OURS - {"lost+found"}):
        raise StoreFailed(
            f"cache.directory {directory} is no cache and is not empty: it has {', '.join(others[:3])}; name a"
            " directory that is the cache's alone"
        )


def _keep_spare(directory: Path, least: int = 2 * SPARE) -> None:
    """Given back where the disk is full, and made again where it is not."""
    path, free = directory / "spare", free_space(directory)
    with suppress(OSError):
        if free < SPARE:
            path.unlink(missing_ok=True)
        elif free >= least and not _has_room(path):
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:  # one that is hollow, or that a start left which was broken off, is filled
                os.posix_fallocate(fd, 0, SPARE)
            finally:
                os.close(fd)


@contextmanager
def spare_given(directory: Path) -> Iterator[None]:
    """In the block the spare room is free, for whoever makes room. Blocking. It is kept again as soon as there is so
    much: the log of the index would take it, which needs some to be begun anew."""
    with suppress(OSError):
        (directory / "spare").unlink(missing_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            _keep_spare(directory, SPARE)


def _has_room(path: Path) -> bool:
    return path.exists() and path.stat().st_blocks * 512 >= SPARE


def instance(directory: Path) -> str:
    """This cache's own name in ``Via`` fields: all processes on it have the same one. Nothing that is kept in it, for a
    copy is another cache, whose gateway may stand behind this one."""
    place = directory.stat()
    return hashlib.sha256(f"{_machine()} {place.st_dev} {place.st_ino}".encode()).hexdigest()[:8]


def _machine() -> str:
    """Until it is started again; containers of one machine share it, and may share a cache."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def writable(directory: Path) -> bool:
    """Can a file be made where files are made?"""
    return _made(directory, lambda _: None)


def has_entries(folder: Path) -> bool:
    """Without a list of what may be a million. Blocking; raises OSError."""
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def takes_files(directory: Path) -> bool:
    """Does the disk take one, beyond what the system remembers of it? Not where it is away as a whole. Blocking."""
    return _made(directory, os.fsync)


def _made(directory: Path, then: Callable[[int], None]) -> bool:
    probe = directory / "ingest" / f"probe-{secrets.token_hex(8)}"
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            then(fd)
        finally:
            os.close(fd)
            probe.unlink()
    except OSError:
        return False
    return True


def _check_format(path: Path) -> None:
    text = path.read_text(errors="replace").strip()
    if not _FORMAT.fullmatch(text):
        raise StoreFailed(
            f"{path} is damaged: it says {text[:20]!r}, and a format is a number; write {FORMAT} into it if this"
            " apprproxy was the last on this cache"
        )
    if int(text) > FORMAT:
        raise StoreFailed(
            f"{path} says format {text[:20]!r} and this apprproxy knows {FORMAT}: the cache was written by a newer"
            " version; upgrade, or name another cache.directory"
        )


def _check_file_system(directory: Path) -> None:
    devices = {os.stat(directory / part).st_dev for part in ("ingest", "blobs/sha256", "blobs/sha512", "unpacked")}
    if len(devices) > 1:
        raise StoreFailed(f"{directory}/ingest and {directory}/blobs must lie on one file system: blobs are renamed")


def refuse_network(directory: Path, kind: str | None) -> None:
    if kind in _NETWORK:
        raise StoreFailed(
            f"cache.directory {directory} lies on a network file system ({kind}), where locks and renames cannot be"
            " relied on; name a directory on a local disk"
        )


def _file_system(directory: Path) -> str | None:
    """The file system's type; None where the system does not tell."""
    try:
        return mounted_type(str(directory.resolve()), Path("/proc/self/mounts").read_text(errors="replace"))
    except OSError:
        return None


def mounted_type(real: str, mounts: str) -> str | None:
    """The type by the longest mount point above ``real``; the last mount of a point covers those before it."""
    best, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _write_once(path: Path, text: str) -> None:
    """Write the file whole, unless it is there: several processes may start at once."""
    if path.exists():
        return
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    with part.open("x") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise StoreFailed(
            f"cache.directory {path.parent} lies on a file system without hard links, such as exFAT, or they are"
            f" forbidden there ({error.strerror}); name a directory on another one, such as ext4 or xfs"
        ) from error
    finally:
        part.unlink()
