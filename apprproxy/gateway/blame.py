"""Who sent the wrong bytes? Told from who contributed; an owner is asked before one of several mirrors is blamed."""

from collections.abc import Sequence

from apprproxy.core.errors import DigestMismatch, Lied, WrongSize
from apprproxy.core.model import Contribution
from apprproxy.core.ports import Partial
from apprproxy.gateway.flight import Candidate, Flight
from apprproxy.gateway.member import Source


def blame(flight: Flight, candidate: Candidate, partial: Partial, lie: Lied) -> bool:
    """The candidate lied, or the bytes were wrong once it had sent the last of them. Returns whether what is there may
    be continued."""
    contributors = _contributors(partial.parts, partial.size)
    mine = (candidate.member.name, candidate.source.label)
    if isinstance(lie, DigestMismatch) and mine != _last(partial.parts):
        return False  # all of it was there before, and this one was not asked: it may have been spoilt on the disk
    if mine not in contributors and candidate.source.owner and contributors:
        flight.doubt(_mirrors(flight, contributors), lie)  # what is there does not fit the owner's own headers
        return False
    if mine not in contributors:  # it lied in its headers, and none of its bytes were taken
        if isinstance(lie, WrongSize):
            flight.misstated.add((candidate.source, lie.due))
        else:
            candidate.source.health.lied()
        flight.fail(candidate, lie)
        return True
    if len(contributors) == 1 and (partial.parts[-1].start or flight.current is None):
        return False  # what it continued had lain on the disk, and may have been spoilt there: it is to send the whole
    by_itself = not isinstance(lie, DigestMismatch) and not candidate.source.owner
    if len(contributors) == 1 or by_itself:  # what it sent is wrong by its length, whatever was there before
        candidate.source.health.lied()
        flight.fail(candidate, lie)
        return False
    flight.doubt(_mirrors(flight, contributors), lie)
    if not flight.suspects:  # owners only, which are never distrusted: this one is to send the whole
        flight.fail(candidate, lie)
    return False


def clear(flight: Flight, partial: Partial) -> None:
    """The bytes are right. Where all of them came from one owner, those who contributed before were wrong; and what a
    manifest says of a size is believed against a mirror only now."""
    for source, due in flight.misstated:
        if flight.held is not None and flight.held.size == due:
            source.health.lied()
    if len({(part.upstream, part.source) for part in partial.parts}) == 1 and flight.winner is not None:
        for mirror in flight.suspects if flight.winner.source.owner else ():
            mirror.health.lied()
    flight.suspects.clear()


def _last(parts: Sequence[Contribution]) -> tuple[str, str] | None:
    return (parts[-1].upstream, parts[-1].source) if parts else None


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
