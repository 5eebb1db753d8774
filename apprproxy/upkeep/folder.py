"""A cache directory as a command opens it: the same files as a gateway's, shared with those that run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apprproxy.core.model import Clock
from apprproxy.ops.journal import Journal
from apprproxy.settings import Settings
from apprproxy.store.holdings import Holdings
from apprproxy.store.ledger import Ledger
from apprproxy.store.names import DiskNames
from apprproxy.store.place import expect, prepare
from apprproxy.store.removal import Removal


@dataclass(frozen=True, slots=True)
class Folder:
    root: Path
    names: DiskNames
    ledger: Ledger
    holdings: Holdings
    removal: Removal


@contextmanager
def opened(settings: Settings, *, now: Clock = time.time) -> Iterator[Folder]:
    """Raises StoreFailed where the directory cannot be used, or is no cache."""
    root = settings.cache.directory.absolute()
    expect(root)
    prepare(root)
    journal = Journal()
    ledger = Ledger(root, settings.cache.max_size, now, journal)
    try:
        names = DiskNames(root / "names", journal)
        try:
            database = ledger.database
            yield Folder(root, names, ledger, Holdings(database), Removal(root, database, ledger.generation))
        finally:
            names.close()
    finally:
        ledger.close()
