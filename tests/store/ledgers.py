"""Small caches whose cap the tests reach, and blobs that go into them as the store puts them there."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected, Where
from apprproxy.store.blobs.part import open_part
from apprproxy.store.directory.place import prepare
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.removal import Removal
from tests.fakes.clock import Clock
from tests.store.contents import Told

CAP = 1000
PUBLIC = Where("hub as nobody", "library/alpine")
PRIVATE = Where("hub as nobody", "corp/secret")
STRANGER = Where("hub as nobody", "mallory/index")


def digest_of(name: str) -> Digest:
    return Digest.of(name.encode())


def names(name: str, size: int | None = None) -> Expected:
    """As a document states it."""
    return Expected(digest_of(name), size=size)


@dataclass
class Cache:
    """One process's view of a cache directory."""

    root: Path
    clock: Clock = field(default_factory=Clock)
    told: Told = field(default_factory=Told)
    cap: int = CAP

    def __post_init__(self) -> None:
        prepare(self.root)
        self.ledger = Ledger(self.root, self.cap, self.clock, self.told)

    def remove(self, digest: Digest) -> None:
        """As commands do."""
        Removal(self.root, self.ledger.database, self.ledger.generation).remove([str(digest)])

    def put(self, name: str, size: int, unpacked: Digest | None = None) -> Digest:
        """Lock, reserve, write, keep, rename; a second later."""
        self.clock.advance(1)
        digest, part = digest_of(name), f"{name}.part"
        path = self.root / "ingest" / part
        fd, _ = open_part(path)  # as the store does: whoever holds it is at work
        try:
            self.ledger.reserve(part, size)
            path.write_bytes(b"x" * size)
            self.ledger.keep(part, digest, size, unpacked)
            path.rename(self.file(digest))
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)
        self.ledger.release(part)
        if unpacked is not None:
            (self.root / "unpacked" / "sha256" / unpacked.hex).symlink_to(f"../../blobs/sha256/{digest.hex}")
        return digest

    def orphan(self, part: str, size: int, age: float) -> Path:
        """What a killed process left."""
        path = self.root / "ingest" / part
        path.write_bytes(b"x" * size)
        os.utime(path, (self.clock() - age,) * 2)
        return path

    def file(self, digest: Digest) -> Path:
        return self.root / "blobs" / digest.algorithm / digest.hex

    def use(self, name: str) -> None:
        self.clock.advance(1)
        self.ledger.uses.add(digest_of(name))

    def holds(self, *among: str) -> str:
        """Those that are counted and there; a blob that is one and not the other is a fault."""
        counted = {blob.digest for blob in self.ledger.blobs()}
        held = [name for name in among if digest_of(name) in counted]
        assert held == [name for name in among if self.file(digest_of(name)).exists()]
        return " ".join(held)

    def rows(self, table: str) -> int:
        (count,) = self.ledger.database.read(f"SELECT count(*) FROM {table}")[0]
        return int(count)

    def links_go(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many are forgotten by each transaction from now on."""
        gone, real = list[int](), self.ledger.database.transaction

        @contextmanager
        def counted() -> Iterator[sqlite3.Connection]:
            before = self.rows("links")
            with real() as db:
                yield db
            gone.append(before - self.rows("links"))

        monkeypatch.setattr(self.ledger.database, "transaction", counted)
        return gone

    def close(self) -> None:
        self.ledger.close()


@contextmanager
def opened(root: Path, clock: Clock | None = None, cap: int = CAP) -> Iterator[Cache]:
    cache = Cache(root, clock or Clock(), cap=cap)
    try:
        yield cache
    finally:
        cache.close()
