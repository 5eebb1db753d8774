"""What documents name, written down anew as far as it is held: an index that was begun anew knows none of it.

What pins keep comes first, before anything may be evicted: they are few, while the names that lead to all the rest may
be many, and are gone through while the gateway serves (``upkeep/recovery.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from apprproxy.app.protocols import PROTOCOLS
from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import MAX_DOCUMENT, Expected
from apprproxy.core.ports.store import Held
from apprproxy.store.index.below import DEPTH
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.membership import Membership

Children = Callable[[bytes], Sequence[Expected]]
Find = Callable[[Expected], Held | None]

_BEGINNING = 4096
"""Of blanks in front there may be more, and then all of it is looked at."""
_BLANKS = b" \t\n\r"


def cover_pins(ledger: Ledger, find: Find) -> None:
    """Blocking. Raises StoreFailed."""
    if ledger.recovered():
        return
    for root in set(ledger.pinned.pins().values()):
        link_below(find, ledger.membership, _children, root)


def _children(document: bytes) -> Sequence[Expected]:
    """Of whichever protocol it is: the upstream of a pin may be configured no longer."""
    return next((found for protocol in PROTOCOLS.values() if (found := protocol.children(document))), ())


def link_below(find: Find, membership: Membership, children: Children, root: Digest) -> None:
    """Blocking. What is held already is not fetched, and so links nothing where the index was lost that knew it.
    Raises StoreFailed."""
    for _ in linked(find, membership, children, Expected(root)):
        pass


def linked(find: Find, membership: Membership, children: Children, root: Expected) -> Iterator[tuple[Expected, int]]:
    """What is held of it, with how far down it stands; what its documents name is written down on the way."""
    waiting, seen = [(root, 0)], set[str]()
    while waiting:
        expected, depth = waiting.pop()
        if expected.key in seen or (held := find(expected)) is None:
            continue
        seen.add(expected.key)  # not what is not held: documents may name ten thousand such each
        yield expected, depth
        if depth < DEPTH and expected.unpacked is None and (document := _document(held)):
            named = tuple(children(document))
            membership.link(held.digest, named)
            waiting += [(child, depth + 1) for child in named if child.key not in seen]


def _document(held: Held) -> bytes:
    """Nothing where it is none, or the disk does not give it: others are to be linked all the same. Layers are not
    read."""
    with suppress(StoreFailed):
        if held.size <= MAX_DOCUMENT and held.pread(0, _BEGINNING).lstrip(_BLANKS)[:1] in (b"{", b"[", b""):
            return held.pread(0, held.size)
    return b""
