"""A cache directory as a command opens it: the same files as a gateway's, shared with those that run."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from apprproxy.app.linked import cover_pins
from apprproxy.app.members import identities_in, open_in
from apprproxy.core.model import Clock
from apprproxy.ops.journal import Journal
from apprproxy.settings import Settings
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.directory.place import expect, prepare
from apprproxy.store.index.holdings import Holdings
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.membership import Open
from apprproxy.store.index.relinking import Relinking
from apprproxy.store.index.removal import Removal
from apprproxy.store.names.names import DiskNames


@dataclass(frozen=True, slots=True)
class Folder:
    """``identities`` of the upstreams that are configured, by name; the names of those that are ``locked`` stand in a
    file of the operator's."""

    root: Path
    identities: Mapping[str, str]
    locked: frozenset[str]
    open: Open
    names: DiskNames
    ledger: Ledger
    holdings: Holdings
    removal: Removal
    relinking: Relinking


@contextmanager
def opened(settings: Settings, *, now: Clock = time.time) -> Iterator[Folder]:
    """Raises StoreFailed where the directory cannot be used, or is no cache."""
    root = settings.cache.directory.absolute()
    expect(root)
    prepare(root)
    journal = Journal()
    ledger = Ledger(root, settings.cache.max_size, now, journal)
    try:
        with closing(DiskStore(root, journal, ledger, settings.delivery.max_blob)) as disk:
            cover_pins(ledger, disk.find_here)  # before anything is removed that they keep
        names = DiskNames(root / "names", journal)
        try:
            identities = identities_in(settings)
            locked = frozenset(name for name, upstream in settings.upstreams.items() if upstream.names == "locked")
            removal = Removal(root, ledger.database, ledger.generation)
            holdings, relinking = Holdings(ledger.database), Relinking(root, ledger.database)
            yield Folder(root, identities, locked, open_in(settings), names, ledger, holdings, removal, relinking)
        finally:
            names.close()
    finally:
        ledger.close()
