"""Who sent the wrong bytes? Told from who contributed; an owner is asked before one of several mirrors is blamed."""

from collections.abc import Sequence

from apprproxy.core.errors import DigestMismatch, Lied, OtherSize
from apprproxy.core.model import Contribution
from apprproxy.core.ports import Partial
from apprproxy.gateway.flight import Candidate, Flight
from apprproxy.gateway.member import Source


def blame(flight: Flight, candidate: Candidate, partial: Partial, lie: Lied) -> bool:
    """The candidate lied, or the bytes were wrong once it had sent the last of them. Returns whether what is there may
    be continued."""
    contributors = _contributors(partial.parts, partial.size)
    mine = (candidate.member.name, candidate.source.label)
    if isinstance(lie, OtherSize) and candidate.due is not None:  # a manifest may have made that up, and anybody may
        flight.disagree(candidate, candidate.due, lie)  # have pushed the manifest
        return flight.current is None or mine not in contributors
    unasked = flight.current is None and isinstance(lie, DigestMismatch)
    continued = contributors == {mine} and bool(partial.parts[-1].start or flight.current is None)
    if (unasked or continued) and flight.spare(candidate):
        return False  # what it continued had lain on the disk, and may have been spoilt there: it is to send the whole
    if unasked:
        flight.doubt(_mirrors(flight, contributors), lie)
        flight.fail(candidate, lie)
        return False
    if mine not in contributors and candidate.source.owner and contributors:
        flight.doubt(_mirrors(flight, contributors), lie)  # what is there does not fit the owner's own headers
        return False
    if mine not in contributors:  # it lied in its headers, and none of its bytes were taken
        candidate.source.health.lied()
        flight.fail(candidate, lie)
        return True
    by_itself = not isinstance(lie, DigestMismatch) and not candidate.source.owner
    if len(contributors) == 1 or by_itself:  # what it sent is wrong by itself, whatever was there before
        candidate.source.health.lied()
        flight.fail(candidate, lie)
        return False
    flight.doubt(_mirrors(flight, contributors), lie)
    if not flight.suspects:  # owners only, which are never distrusted: this one is to send the whole
        flight.fail(candidate, lie)
    return False


def clear(flight: Flight, partial: Partial) -> None:
    """The bytes are right. Where all of them came from one owner, those who contributed before were wrong; and so is
    whoever had another size than the right one."""
    held = flight.held
    for mirror, due in flight.disagreed.items():
        if held is not None and held.size == due:
            mirror.health.lied()
    flight.disagreed.clear()
    if len({(part.upstream, part.source) for part in partial.parts}) == 1 and flight.winner is not None:
        for mirror in flight.suspects if flight.winner.source.owner else ():
            mirror.health.lied()
    flight.suspects.clear()


def _contributors(parts: Sequence[Contribution], size: int) -> set[tuple[str, str]]:
    """Whose bytes there are. A source that was asked and broke off before its first byte has sent nothing wrong."""
    ends = (*(part.start for part in parts[1:]), size)
    return {(part.upstream, part.source) for part, end in zip(parts, ends, strict=False) if end > part.start}


def _mirrors(flight: Flight, contributors: set[tuple[str, str]]) -> set[Source]:
    return {
        one.source
        for one in flight.candidates
        if not one.source.owner and (one.member.name, one.source.label) in contributors
    }
