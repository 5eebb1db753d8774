"""What each source sent of bytes that were thrown away, to be held against the right ones once these are here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apprproxy.core.digest import Check, Digest
from apprproxy.core.label import Label
from apprproxy.core.model import MIB, Contribution
from apprproxy.core.ports.store import Partial, Readable
from apprproxy.core.threads import at_length
from apprproxy.gateway.flights.contributors import stretches


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes from ``start`` up to ``stop``, by their digest."""

    start: int
    stop: int
    digest: Digest


Evidence = Mapping[Label, Sequence[Sent]]


async def collected(partial: Partial, since: int) -> Evidence:
    """Of what came from byte ``since`` on: what had lain on the disk before may have been spoilt there."""
    return await at_length(_collected, partial.parts, partial.growing, since)


async def refuted(sent: Sequence[Sent], right: Readable) -> bool:
    """Was some of it wrong?"""
    return await at_length(lambda: any(_digest(right, one.start, one.stop) != one.digest for one in sent))


def _collected(parts: Sequence[Contribution], there: Readable, since: int) -> Evidence:
    found: dict[Label, list[Sent]] = {}
    for label, begin, stop in stretches(parts, there.size):
        start = max(begin, since)
        if start < stop:
            found.setdefault(label, []).append(Sent(start, stop, _digest(there, start, stop)))
    return found


def _digest(there: Readable, start: int, stop: int) -> Digest:
    """Of as much as is there: fewer bytes are others."""
    check = Check()
    while start < stop and (piece := there.pread(start, min(MIB, stop - start))):
        check.update(piece)
        start += len(piece)
    return check.digest()
