"""Every file hashed anew, and the index held against the files; what is wrong is set aside, never deleted.

- Several threads, each of which reads one file from the beginning to the end: hashing leaves the interpreter's lock.
- What is committed, evicted or purged meanwhile is no fault: a fault is looked at again inside a transaction.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from stat import S_ISREG

from apprproxy.core.digest import Check, Digest, MalformedDigest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import MIB, Expected
from apprproxy.store.blobs.opened import BAD, NO_FILE
from apprproxy.store.blobs.part import blob_path
from apprproxy.store.blobs.unpacked import NotGzip, unpacked_digest
from apprproxy.store.directory.place import takes_files
from apprproxy.upkeep import unrepaired
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.folder import Folder

READ = 1 * MIB
THREADS = min(8, os.cpu_count() or 1)

Told = Callable[[int], None]
"""So many more bytes were hashed; called by threads."""
_Job = Callable[[], Finding | None]


def verify(folder: Folder, told: Told, threads: int = THREADS) -> Iterator[Finding]:
    """Blocking. Raises StoreFailed."""
    yield from _in_parallel(_file_jobs(folder, told), threads)
    yield from _in_parallel(_link_jobs(folder), threads)
    for blob in folder.ledger.blobs():
        if (finding := _lost(folder, blob.digest)) is not None:
            yield finding
    yield from _in_parallel(_unlinked_jobs(folder), threads)  # to none that was lost: another may hold that tar


def _in_parallel(jobs: Iterator[_Job], threads: int) -> Iterator[Finding]:
    """A few jobs at a time: there may be a million."""
    running: set[Future[Finding | None]] = set()
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as pool:
        for job in chain(jobs, (None,)):
            if job is not None:
                running.add(pool.submit(job))
            while running and (job is None or len(running) >= 2 * threads):
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (finding for one in done if (finding := one.result()) is not None)


# --- files


def _file_jobs(folder: Folder, told: Told) -> Iterator[_Job]:
    for algorithm in ("sha256", "sha512"):
        with os.scandir(folder.root / "blobs" / algorithm) as entries:
            for entry in entries:
                yield lambda path=Path(entry.path), of=algorithm: _file(folder, path, of, told)  # type: ignore[misc]


def _file(folder: Folder, path: Path, algorithm: str, told: Told) -> Finding | None:
    try:
        digest = Digest(algorithm, path.name)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except MalformedDigest:
        return _stray(folder, path, "its name is no digest")
    except OSError as error:
        if error.errno in NO_FILE:
            return _stray(folder, path, "it is no file")
        return _unopened(folder, path, digest, error)
    try:
        if not S_ISREG(os.fstat(fd).st_mode):
            return _stray(folder, path, "it is no file")
        return _blob(folder, digest, fd, told)
    finally:
        os.close(fd)


def _unopened(folder: Folder, path: Path, digest: Digest, error: OSError) -> Finding | None:
    """Raises StoreFailed where that says nothing of the file: no descriptor left, or a disk that is away."""
    if error.errno not in BAD or not takes_files(folder.root):
        raise _cannot(error)
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as worse:
        raise _cannot(worse) from None
    try:
        return _set_aside(folder, digest, fd, Fault.UNREADABLE, f"cannot be opened: {error.strerror}")
    finally:
        os.close(fd)


def _cannot(error: OSError) -> StoreFailed:
    return StoreFailed(f"the cache cannot be read: {error.strerror}")


def _blob(folder: Folder, digest: Digest, fd: int, told: Told) -> Finding | None:
    check = Check(digest.algorithm)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    try:
        while piece := os.read(fd, READ):
            check.update(piece)
            told(len(piece))
    except OSError as error:
        return _set_aside(folder, digest, fd, Fault.UNREADABLE, f"cannot be read: {error.strerror}")
    if check.digest() != digest:
        return _set_aside(folder, digest, fd, Fault.WRONG, f"its {check.size} bytes are {check.digest()}")
    now = time.time()
    with suppress(OSError):  # somebody else's may be read all the same
        os.utime(fd, (os.fstat(fd).st_atime, now))  # when it was last found right, which provenance tells
    before = folder.removal.recount(digest, fd, now)
    if before is None:
        return None
    if before < 0:
        return Finding(Fault.UNCOUNTED, str(digest), f"the index did not know its {check.size} bytes")
    return Finding(Fault.MISCOUNTED, str(digest), f"the index had it with {before} bytes; it has {check.size}")


def _set_aside(folder: Folder, digest: Digest, fd: int, fault: Fault, sentence: str) -> Finding | None:
    finding = _of(folder, digest, fault, sentence)
    aside = folder.removal.set_aside(digest, fd, lambda: unrepaired.note(folder.root, finding))
    return replace(finding, aside=aside) if aside is not None else None


def _of(folder: Folder, digest: Digest, fault: Fault, sentence: str) -> Finding:
    key = str(digest)
    origins = tuple(folder.ledger.membership.provenance(digest))
    return Finding(fault, key, sentence, None, origins, document=folder.holdings.documented(key))


def _stray(folder: Folder, path: Path, sentence: str) -> Finding | None:
    aside = folder.removal.set_stray_aside(path)
    return Finding(Fault.STRAY, path.name, sentence, aside) if aside is not None else None


# --- links from tars to packages


def _link_jobs(folder: Folder) -> Iterator[_Job]:
    with os.scandir(folder.root / "unpacked" / "sha256") as links:
        for link in links:
            yield lambda path=Path(link.path): _link(folder, path)  # type: ignore[misc]


def _link(folder: Folder, path: Path) -> Finding | None:
    try:
        tar = Digest("sha256", path.name)
        content = Digest("sha256", os.readlink(path).rpartition("/")[2])
    except FileNotFoundError:
        return None
    except (OSError, MalformedDigest) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise _cannot(error) from None
        return _no_link(folder, path)
    holds = _inside(folder, content)
    if holds is None:
        return _dangling(folder, path)
    if holds == str(tar):
        folder.relinking.own(tar, content)
        return None
    origins = tuple(folder.ledger.membership.provenance(content))
    sentence = f"it led to {content}, and the tar in that is {holds}"
    finding = Finding(Fault.LINK, Expected(unpacked=tar).key, sentence, None, origins)
    aside = folder.removal.set_link_aside(tar, content, lambda: unrepaired.note(folder.root, finding))
    return replace(finding, aside=aside) if aside is not None else None


def _dangling(folder: Folder, path: Path) -> Finding | None:
    tar = Digest("sha256", path.name)
    if not folder.removal.drop_dangling(tar):
        return None
    return Finding(Fault.DANGLING, Expected(unpacked=tar).key, "it led to nothing and was removed")


def _inside(folder: Folder, content: Digest) -> str | None:
    """The tar in a package, or why there is none; None where the package is not held."""
    try:
        fd = os.open(blob_path(folder.root, content), os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot(error) from None
    try:
        return str(unpacked_digest(lambda offset, count: os.pread(fd, count, offset)))
    except (NotGzip, OSError) as error:
        return f"none: {error}"
    finally:
        os.close(fd)


def _no_link(folder: Folder, path: Path) -> Finding | None:
    """As in a copy that followed the links: out of the way, and what the index knows is put in its place."""
    sentence = "it was no link to a package: copying a cache must keep symbolic links"
    try:
        tar = Digest("sha256", path.name)
    except MalformedDigest:
        return _stray(folder, path, sentence)
    content = folder.holdings.content_of(tar)
    if (aside := folder.removal.set_stray_aside(path)) is None:
        return None
    if content is not None and (finding := _linked_again(folder, tar, Digest.parse(content), sentence)) is not None:
        return replace(finding, aside=aside)
    lost = Finding(Fault.LINK, Expected(unpacked=tar).key, f"{sentence}; which package it led to is not known", aside)
    unrepaired.note(folder.root, lost)
    return lost


def _unlinked_jobs(folder: Folder) -> Iterator[_Job]:
    sentence = "no link led to the package: copying a cache must keep symbolic links"
    for tar, content in folder.relinking.unlinked():
        yield lambda tar=tar, content=content: _linked_again(folder, tar, content, sentence)  # type: ignore[misc]


def _linked_again(folder: Folder, tar: Digest, content: Digest, sentence: str) -> Finding | None:
    """What is not held is told by its row."""
    key, holds = Expected(unpacked=tar).key, _inside(folder, content)
    if holds == str(tar) and folder.relinking.again(tar, content):
        return Finding(Fault.UNLINKED, key, f"{sentence}; made again")
    if holds in (None, str(tar)):
        return None
    origins = tuple(folder.ledger.membership.provenance(content))
    finding = Finding(Fault.LINK, key, f"{sentence}; the tar in {content}, which it led to, is {holds}", None, origins)
    unrepaired.note(folder.root, finding)
    folder.relinking.disown(tar, content)
    return finding


# --- rows


def _lost(folder: Folder, digest: Digest) -> Finding | None:
    if blob_path(folder.root, digest).exists():
        return None
    finding = _of(folder, digest, Fault.LOST, "the index had it, and there is no file")
    return finding if folder.removal.uncount(digest, lambda: unrepaired.note(folder.root, finding)) else None
