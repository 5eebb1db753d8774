"""Who sent what there is of a blob on its way: a source that was asked and broke off before its first byte has sent
nothing wrong."""

from collections.abc import Iterator, Sequence

from apprproxy.core.label import Label
from apprproxy.core.model import Contribution
from apprproxy.core.ports.store import Partial


def stretches(parts: Sequence[Contribution], size: int) -> Iterator[tuple[Label, int, int]]:
    """Whose the bytes from one position up to another are, of ``size`` that there are."""
    for part, stop in zip(parts, (*(part.start for part in parts[1:]), size), strict=bool(parts)):
        if stop > part.start:
            yield part.label, part.start, stop


def contributors_of(partial: Partial) -> set[Label]:
    return {label for label, _, _ in stretches(partial.parts, partial.size)}


def upstreams_of(partial: Partial) -> set[str]:
    return {label.upstream for label in contributors_of(partial)}


def sources_of(partial: Partial, upstream: str) -> tuple[str, ...]:
    """Those of that upstream, in the order in which they first contributed."""
    sent = stretches(partial.parts, partial.size)
    return tuple(dict.fromkeys(label.source for label, _, _ in sent if label.upstream == upstream))
