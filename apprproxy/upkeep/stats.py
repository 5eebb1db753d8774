"""How full a cache is, and with what."""

import fcntl
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apprproxy.core.kind import Kind
from apprproxy.upkeep.folder import Folder

_NO_NAMES = tuple(f"{kind} " for kind in Kind if kind.bodiless)
_BESIDE = {"names": "names/*", "index": "index.db*", "search": "search/*"}
"""Files of the cache directory."""


@dataclass(frozen=True, slots=True)
class Files:
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Sizes in bytes, times in seconds since the epoch. ``arriving`` is what files on their way in may take;
    ``orphans`` are those that nobody is at work on. ``first_seen`` digests are by upstream, as ``names`` are.
    ``beside`` is what stands beside the cap."""

    blobs: int
    size: int
    max_size: int
    arriving: int
    pins: int
    pinned: int
    names: Mapping[str, int]
    first_seen: Mapping[str, int]
    beside: Mapping[str, int]
    oldest: float | None
    newest: float | None
    orphans: Files
    quarantined: Files

    @property
    def share(self) -> float:
        """Of the cap, that is taken."""
        return (self.size + self.arriving) / self.max_size


def stats(folder: Folder) -> Stats:
    """Blocking; walks all names."""
    totals = folder.ledger.totals()
    used = folder.holdings.used_between()
    parts = [path for path in (folder.root / "ingest").glob("*.part") if _left_behind(path)]
    return Stats(
        blobs=totals.blobs,
        size=totals.held,
        max_size=folder.ledger.max_size,
        arriving=totals.reserved,
        pins=len(folder.ledger.pinned.pins()),
        pinned=totals.pinned,
        names=_names(folder),
        first_seen=_counted(upstream for upstream, _, _ in folder.names.all_first_seen()),
        beside={what: _files(list(folder.root.glob(files))).size for what, files in _BESIDE.items()},
        oldest=used[0] if used else None,
        newest=used[1] if used else None,
        orphans=_files(parts),
        quarantined=_files(list((folder.root / "quarantine").glob("*"))),
    )


def _names(folder: Folder) -> dict[str, int]:
    """By upstream; that a digest is there is no name."""
    return _counted(upstream for upstream, key, _ in folder.names.all_names() if not key.startswith(_NO_NAMES))


def _counted(upstreams: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(upstreams).items()))


def _left_behind(path: Path) -> bool:
    """Nobody holds its lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for a moment, and as a reader
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _files(paths: list[Path]) -> Files:
    size = 0
    for path in paths:
        with suppress(FileNotFoundError):
            size += path.lstat().st_size
    return Files(len(paths), size)
