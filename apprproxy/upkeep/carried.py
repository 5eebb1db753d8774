"""Was a cache carried along as a whole? A copy without a part of it starts as if nothing were wrong."""

from collections.abc import Iterator

from apprproxy.settings import Settings
from apprproxy.store.directory.place import has_entries
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.names.names import DiskNames


def lacking(settings: Settings, ledger: Ledger, names: DiskNames) -> Iterator[str]:
    """Blocking. Raises StoreFailed, or OSError."""
    blobs, root = ledger.totals().blobs, settings.cache.directory.absolute()
    if not blobs:
        return
    if names.is_empty() and any(one.names != "locked" for one in settings.upstreams.values()):
        yield (
            f"{blobs} blobs are held, and names/ knows no name: right where all was asked for by digest; else it was"
            " not carried along, and which release had which digest first is forgotten"
        )
    if not any(has_entries(root / "blobs" / algorithm) for algorithm in ("sha256", "sha512")):
        yield f"{blobs} blobs were held, and blobs/ has nothing in it: each is a transfer again"
