"""All that came from one upstream, or all there is: purged in steps, so that gateways get their turn in between.

``told`` is told of blobs.
"""

from collections.abc import Sequence
from itertools import islice

from apprproxy.store.index.removal import Removed
from apprproxy.upkeep.folder import Folder
from apprproxy.upkeep.purge import Purged
from apprproxy.upkeep.told import Told

_AT_ONCE = 500


def pins_of(folder: Folder, upstream: str | None) -> list[str]:
    """Names that stand in the way; of all upstreams for None."""
    return [name for name in folder.ledger.pinned.pins() if upstream is None or name.startswith(f"{upstream}/")]


def purge_upstream(folder: Folder, upstream: str, told: Told) -> Purged:
    """Its names, what it showed, and the blobs that nobody else showed. Its pins are lifted."""
    for name in pins_of(folder, upstream):
        folder.ledger.pinned.unpin(name)
    names, targets = _forget(folder, upstream)
    gone = Removed()
    for key in _documents(folder, targets):
        gone += _removed(folder, [key], told)
    while keys := folder.holdings.only_of(upstream, _AT_ONCE):
        removed = _removed(folder, keys, told)
        if not removed.blobs:  # what is left is being committed
            break
        gone += removed
    folder.removal.hide(upstream)
    return Purged(upstream, names, gone.blobs, gone.size)


def _removed(folder: Folder, keys: Sequence[str], told: Told) -> Removed:
    removed = folder.removal.remove(keys)
    told(removed.blobs)
    return removed


def _documents(folder: Folder, targets: set[str]) -> list[str]:
    """Lists and the like, which no repository shows, unless another upstream's name points at the same bytes."""
    elsewhere = {str(record.target.digest) for _, _, record in folder.names.all_names()} & targets
    shown, pinned = folder.ledger.membership.shown_by_any, folder.holdings.pinned
    return [key for key in targets - elsewhere if not shown(key) and not pinned(key)]


def purge_all(folder: Folder, told: Told) -> Purged:
    """Every name and every blob; pins are lifted. What is arriving goes on arriving."""
    for name in pins_of(folder, None):
        folder.ledger.pinned.unpin(name)
    names, _ = _forget(folder, None)
    gone, every = Removed(), folder.ledger.blobs()
    while some := list(islice(every, _AT_ONCE)):
        gone += _removed(folder, [str(blob.digest) for blob in some], told)
    return Purged("everything", names, gone.blobs, gone.size)


def _forget(folder: Folder, upstream: str | None) -> tuple[int, set[str]]:
    """How many names there were, and what those of the one upstream pointed at."""
    forgotten, targets = 0, set[str]()
    every = ((of, key, str(record.target.digest)) for of, key, record in folder.names.all_names())
    mine = (one for one in every if upstream is None or one[0] == upstream)
    while some := list(islice(mine, _AT_ONCE)):
        folder.names.discard([(of, key) for of, key, _ in some])
        forgotten += len(some)
        if upstream is not None:
            targets |= {target for _, _, target in some}
    return forgotten, targets
