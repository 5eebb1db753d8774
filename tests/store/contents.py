"""What the store tests store, and an observer that remembers what it was told."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.events import Event
from apprproxy.core.model import Expected
from apprproxy.core.ports.store import BlobStore, Held
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.directory.place import prepare
from tests.store.cap import Boundless

CONTENT = b"what is named by its digest" * 1000
DIGEST = Digest.of(CONTENT)
TAR = b"not really a tar" * 500
UNPACKED = Digest.of(TAR)
LARGE = 64 * 1024**3


@dataclass
class Told:
    """An Observer."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)


def packed(level: int = 9) -> bytes:
    return gzip.compress(TAR, level, mtime=0)


def prepared(
    directory: Path, told: Told | None = None, max_blob: int = LARGE, cap: Boundless | None = None
) -> DiskStore:
    prepare(directory)
    return DiskStore(directory, told or Told(), cap or Boundless(), max_blob)


async def put(store: BlobStore, content: bytes, expected: Expected, pieces: int = 1000) -> Held:
    """Whole, in pieces of so many bytes."""
    async with store.ingest(expected, "up") as ingest:
        for at in range(0, len(content), pieces):
            await ingest.write(content[at : at + pieces])
        return await ingest.commit()


def visible(directory: Path) -> list[str]:
    """Everything below the directory that anybody could take for a blob, or for the name of one."""
    found = [path for part in ("blobs", "unpacked") for path in (directory / part).rglob("*")]
    return sorted(str(path.relative_to(directory)) for path in found if path.is_symlink() or path.is_file())


def arriving(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "ingest").iterdir())
