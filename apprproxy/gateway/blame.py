"""Who sent the wrong bytes? Told from who contributed; an owner is asked before one of several mirrors is blamed.

Nobody is counted as a liar before it is proven: of a mixture, once the owner has sent the whole and that is right.
"""

from collections.abc import Sequence

from apprproxy.core.errors import DigestMismatch, Lied, OtherSize
from apprproxy.core.events import LieCaught, Observer
from apprproxy.core.model import Contribution
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flight import Candidate, Flight, Suspect


class Blame:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def lay(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied) -> bool:
        """The candidate lied, or the bytes were wrong once it had sent the last of them. Returns whether what is there
        may be continued."""
        contributors = contributors_of(partial)
        mine = (candidate.member.name, candidate.source.label)
        if isinstance(lie, OtherSize) and candidate.due is not None:  # a manifest may have made that up, and anybody
            flight.disagree(candidate, candidate.due, lie)  # may have pushed the manifest
            return flight.current is None or mine not in contributors
        unasked = flight.current is None and isinstance(lie, DigestMismatch)
        continued = contributors == {mine} and bool(partial.parts[-1].start or flight.current is None)
        if (unasked or continued) and flight.spare(candidate):
            return False  # what it continued had lain on the disk, and may have been spoilt there: it sends the whole
        if unasked:
            flight.doubt(_mirrors(flight, contributors), lie)
            flight.fail(candidate, lie)
            return False
        if mine not in contributors and candidate.source.owner and contributors:
            self._doubt(flight, candidate, contributors, lie)  # what is there does not fit the owner's own headers
            return False
        if mine not in contributors:  # it lied in its headers, and none of its bytes were taken
            self._convict(flight, candidate, lie)
            return True
        by_itself = not isinstance(lie, DigestMismatch) and not candidate.source.owner
        if len(contributors) == 1 or by_itself:  # what it sent is wrong by itself, whatever was there before
            self._convict(flight, candidate, lie)
            return False
        self._doubt(flight, candidate, contributors, lie)
        return False

    def _doubt(self, flight: Flight, candidate: Candidate, contributors: set[tuple[str, str]], lie: Lied) -> None:
        """Some of them. Where no mirror of ours is among them (there are owners only, which are never distrusted, or it
        was a mirror that is not asked any more), this one sends the whole, once."""
        mirrors = _mirrors(flight, contributors)
        flight.doubt(mirrors, lie)
        if not mirrors and not flight.spare(candidate):
            self._convict(flight, candidate, lie)

    def _convict(self, flight: Flight, candidate: Candidate, lie: Lied) -> None:
        candidate.source.health.lied()
        flight.fail(candidate, lie)
        self._tell(Suspect(candidate.member.name, candidate.source, lie), flight)

    def clear(self, flight: Flight, partial: Partial) -> None:
        """The bytes are right. Where all of them came from one owner, those who contributed before were wrong; and so
        is whoever had another size than the right one."""
        held, winner = flight.held, flight.winner
        proven = [one for one in flight.disagreed if held is not None and held.size == one.due]
        if winner is not None and winner.source.owner and len(contributors_of(partial)) == 1:
            proven += flight.suspects.values()
        for suspect in proven:
            suspect.source.health.lied()
            self._tell(suspect, flight)
        flight.disagreed.clear()
        flight.suspects.clear()

    def _tell(self, suspect: Suspect, flight: Flight) -> None:
        lie = suspect.lie
        got = lie.got if isinstance(lie, DigestMismatch) else None
        self._observer(LieCaught(suspect.upstream, suspect.source.label, flight.expected.digest, got, lie.sentence))


def contributors_of(partial: Partial) -> set[tuple[str, str]]:
    """Whose bytes there are. A source that was asked and broke off before its first byte has sent nothing wrong."""
    return set(_sources(partial.parts, partial.size))


def labels_of(partial: Partial, upstream: str) -> tuple[str, ...]:
    """The sources of that upstream that contributed, in the order in which they first did."""
    return tuple(dict.fromkeys(label for name, label in _sources(partial.parts, partial.size) if name == upstream))


def _sources(parts: Sequence[Contribution], size: int) -> list[tuple[str, str]]:
    ends = (*(part.start for part in parts[1:]), size)
    return [(part.upstream, part.source) for part, end in zip(parts, ends, strict=False) if end > part.start]


def _mirrors(flight: Flight, contributors: set[tuple[str, str]]) -> list[Candidate]:
    return [
        one for one in flight.candidates if not one.source.owner and (one.member.name, one.source.label) in contributors
    ]
