"""Blobs that the index does not know are counted from the file system: when it is new or a copy, and after each boot.

A commit is not synced one by one, so that a power cut may take the last of them with it while the blobs stay; the
kernel's boot id tells. Killing the process loses nothing, and costs no scan.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.model import Expected
from apprproxy.store.index.database import Database

_AT_ONCE = 5000
_COUNT = "INSERT INTO blobs (key, size, used) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def count_once(database: Database, root: Path, now: float) -> None:
    """Must not run twice at once: see ``sharing.exclusively``. Stopped half way, it begins again."""
    boot = f"{_boot()} {_file(root / 'index.db')}"
    if database.read("SELECT scanned FROM totals") == [(boot,)]:
        return
    blobs, held = _blobs(root, now), False
    while batch := _some(blobs):
        held = True
        with database.transaction() as db:
            if db.executemany(_COUNT, batch).rowcount:  # what was told of them besides is lost as well
                db.execute("UPDATE totals SET recovered = 0")
    with database.transaction() as db:
        db.executemany("UPDATE blobs SET unpacked = ? WHERE key = ? AND unpacked IS NULL", _tars(root))
        db.execute(
            "UPDATE blobs SET pinned = 1 WHERE pinned = 0 AND (key IN (SELECT key FROM pinned)"
            " OR unpacked IN (SELECT key FROM pinned))"
        )
        # where nothing is held, nothing of it is lost
        db.execute("UPDATE totals SET scanned = ?, recovered = recovered OR ?", (boot, not held))


def _file(path: Path) -> str:
    """A copy is another one: what was copied with it may be of after it."""
    facts = path.stat()
    return f"{facts.st_dev}:{facts.st_ino}"


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return "unknown"


def _some(blobs: Iterator[tuple[str, int, float]]) -> list[tuple[str, int, float]]:
    return list(islice(blobs, _AT_ONCE))


def _blobs(root: Path, now: float) -> Iterator[tuple[str, int, float]]:
    """Key, size and last use, as far as the file system knows it."""
    for algorithm in ("sha256", "sha512"):
        with os.scandir(root / "blobs" / algorithm) as entries:
            for entry in entries:
                with suppress(MalformedDigest, FileNotFoundError):  # no blob; removed meanwhile
                    facts = entry.stat(follow_symlinks=False)
                    used = min(max(facts.st_atime, facts.st_mtime), now)
                    yield str(Digest(algorithm, entry.name)), facts.st_size, used


def _tars(root: Path) -> Iterator[tuple[str, str]]:
    """The keys of tars, and of the blobs that hold them."""
    with os.scandir(root / "unpacked" / "sha256") as links:
        for link in links:
            with suppress(OSError, MalformedDigest):
                content = Digest("sha256", os.readlink(link.path).rpartition("/")[2])
                yield Expected(unpacked=Digest("sha256", link.name)).key, str(content)
