"""Names and bytes that are not to be held any more; running gateways serve neither, from memory or from disk.

What stands: the first digest seen for a release, so that nobody can replace one by having it purged; who owns a name
in a view; and blobs that something else which is held needs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apprproxy.core.digest import Digest
from apprproxy.core.kind import Kind
from apprproxy.core.model import Record
from apprproxy.store.index.removal import Removed
from apprproxy.upkeep.folder import Folder
from apprproxy.upkeep.title import Title, records_of

_AT_ONCE = 500
"""Blobs in one transaction, in which gateways wait."""


@dataclass(frozen=True, slots=True)
class Purged:
    """``refused`` says why nothing was done; ``shared`` blobs stay, since other documents, names or pins need them."""

    what: str
    names: int = 0
    blobs: int = 0
    size: int = 0
    shared: int = 0
    refused: str = ""


def purge_digest(folder: Folder, digest: Digest, *, force: bool) -> Purged:
    """A blob by its digest, or by that of the tar inside."""
    key = str(digest)
    if folder.ledger.counted(digest) is None:
        key = folder.holdings.content_of(digest) or key
    if folder.holdings.pinned(key) and not force:
        return Purged(str(digest), refused="it is pinned; --force purges it all the same")
    removed = folder.removal.remove([key])
    if not removed.blobs:
        return Purged(str(digest), refused="it is not held")
    return Purged(str(digest), 0, removed.blobs, removed.size)


def purge_name(folder: Folder, title: Title, *, force: bool, name_only: bool) -> Purged:
    """The name's record, and what it leads to as far as nothing else does."""
    records = records_of(folder.names, title)
    roots = {str(record.target.digest) for record in records.values()} | (
        {str(title.digest)} if title.digest else set()
    )
    if not records and not any(folder.ledger.counted(Digest.parse(root)) is not None for root in roots):
        return Purged(title.text, refused="nothing is known of it")
    if title.text in folder.ledger.pinned.pins():
        if not force:
            return Purged(title.text, refused="it is pinned; --force unpins it first")
        folder.ledger.pinned.unpin(title.text)
    if title.want is not None and title.want.kind is Kind.RELEASE:
        records |= dict(_aliases(folder, title, roots))
    folder.names.discard([(title.upstream, key) for key in records])
    if name_only:
        return Purged(title.text, len(records))
    doomed = set[str]().union(*(folder.holdings.below(root) for root in roots))
    free = _unneeded(folder, doomed)
    removed = _removed(folder, sorted(free))
    return Purged(title.text, len(records), removed.blobs, removed.size, len(doomed) - len(free))


def _aliases(folder: Folder, title: Title, roots: set[str]) -> Iterator[tuple[str, Record]]:
    """Ranges and other words that led to the same release."""
    start = f"{Kind.RELEASE} {title.repository} "
    for upstream, key, record in folder.names.all_names():
        if upstream == title.upstream and key.startswith(start) and str(record.target.digest) in roots:
            yield key, record


def _unneeded(folder: Folder, doomed: set[str]) -> set[str]:
    """Those of the blobs that no pin, no name and no document beyond them needs."""
    above = {key: folder.holdings.named_by(key) for key in doomed}
    named, listed = _pointed_at(folder, doomed.union(*above.values()))
    free = {key for key in doomed if key not in named | listed and not folder.holdings.pinned(key)}
    while needed := {key for key in free if any(_needs(above[key], one, named) for one in above[key].keys() - free)}:
        free -= needed
    return free


def _needs(above: Mapping[str, bool], parent: str, named: set[str]) -> bool:
    """A document of a package is reached by its name alone; a list of all releases is no reason to keep one."""
    return not above[parent] or parent in named


def _pointed_at(folder: Folder, keys: set[str]) -> tuple[set[str], set[str]]:
    """Those that names point at, and those that only lists are."""
    named, listed = set[str](), set[str]()
    for _, key, record in folder.names.all_names():
        if (target := str(record.target.digest)) in keys:
            (listed if key.startswith(f"{Kind.PACKAGE} ") else named).add(target)
    return named, listed - named


def _removed(folder: Folder, keys: Sequence[str]) -> Removed:
    batches = (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE))
    return sum(map(folder.removal.remove, batches), Removed())
