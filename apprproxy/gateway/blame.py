"""Which of an upstream's sources sent the wrong bytes? Told from who contributed; an owner is asked before one of
several mirrors is blamed.

Nobody is counted as a liar before it is proven: of a mixture, once the right bytes are here, by what each had sent.
"""

from collections.abc import Sequence

from apprproxy.core.errors import DigestMismatch, HasLess, Lied, OtherSize
from apprproxy.core.events import LieCaught, Observer
from apprproxy.core.model import Contribution
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.candidates import Candidate
from apprproxy.gateway.evidence import collected
from apprproxy.gateway.flight import Flight
from apprproxy.gateway.suspicion import Suspect


class Blame:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def lay(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied, since: int) -> bool:
        """The candidate lied, or the bytes were wrong once it had sent the last of them. Those before ``since`` had
        lain on the disk. Returns whether what is there may be continued."""
        contributors = contributors_of(partial)
        mine = (candidate.member.name, candidate.source.label)
        too_long = isinstance(lie, OtherSize) and _is_too_long(candidate, partial, contributors - {mine})
        if too_long and flight.suspicion.spare(candidate):
            return False  # it is no beginning of what is due: somebody else left it
        if isinstance(lie, OtherSize) and candidate.due is not None:  # a manifest may have made that up, and anybody
            flight.suspicion.disagrees(candidate, candidate.due, lie)  # may have pushed the manifest
            flight.candidates.fail(candidate, lie)
            return flight.current is None or mine not in contributors
        unasked = flight.current is None and isinstance(lie, DigestMismatch)
        continued = contributors == {mine} and bool(partial.parts[-1].start or flight.current is None)
        if (unasked or continued) and flight.suspicion.spare(candidate):
            return False  # what it continued had lain on the disk, and may have been spoilt there: it sends the whole
        if unasked:
            await self._suspect(flight, _mirrors(flight, contributors), partial, lie, since)
            flight.candidates.fail(candidate, lie)
            return False
        if contributors and mine not in contributors and (candidate.source.owner or _contradicts(lie)):
            self._contradicted(flight, candidate, partial, lie)
            await self._doubt(flight, candidate, partial, lie, since)
            return False
        if mine not in contributors:  # it lied in its headers, and none of its bytes were taken
            self._convict(flight, candidate, lie)
            return True
        by_itself = not _contradicts(lie) and not candidate.source.owner
        if len(contributors) == 1 or by_itself:  # what it sent is wrong by itself, whatever was there before
            self._convict(flight, candidate, lie)
            return False
        self._contradicted(flight, candidate, partial, lie)
        await self._doubt(flight, candidate, partial, lie, since)
        return False

    def _contradicted(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied) -> None:
        """What is there does not fit what it says of the size: who is wrong is known once the bytes are right."""
        if isinstance(lie, HasLess):
            flight.suspicion.claims(candidate, lie.total, lie)
        elif (candidate.member.name, candidate.source.label) not in contributors_of(partial):
            flight.suspicion.claims(candidate, partial.size, lie)

    async def _doubt(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied, since: int) -> None:
        """Some of those who contributed. Where no mirror is among them (only its owner, which is never distrusted, or
        a mirror that is not asked any more), this one sends the whole, once."""
        contributors = contributors_of(partial)
        mirrors = _mirrors(flight, contributors)
        await self._suspect(flight, mirrors, partial, lie, since)
        if mirrors or flight.suspicion.spare(candidate):
            return
        if (candidate.member.name, candidate.source.label) in contributors:
            self._convict(flight, candidate, lie)
        else:
            flight.candidates.fail(candidate, lie)

    async def _suspect(
        self, flight: Flight, mirrors: Sequence[Candidate], partial: Partial, lie: Lied, since: int
    ) -> None:
        """None is asked again before the right bytes are here, which say who it was."""
        flight.suspicion.doubt(mirrors, lie, await collected(partial, since))
        flight.candidates.distrust([one.source for one in mirrors], lie)

    def _convict(self, flight: Flight, candidate: Candidate, lie: Lied) -> None:
        candidate.source.health.lied()
        flight.candidates.fail(candidate, lie)
        suspect = Suspect(candidate.member.name, candidate.source, lie)
        self._tell(suspect, flight, candidate.want.repository, flight.candidates.next())

    async def clear(self, flight: Flight) -> None:
        """Once the bytes are here, by whomever: whoever sent others, or had another size, was wrong."""
        held = flight.held
        if held is None:
            return
        for suspect in flight.suspicion:
            if await suspect.is_refuted_by(held):
                suspect.source.health.lied()
                asked = (one.want.repository for one in flight.candidates if one.source is suspect.source)
                self._tell(suspect, flight, next(asked, ""), flight.winner)

    def _tell(self, suspect: Suspect, flight: Flight, repository: str, instead: Candidate | None) -> None:
        lie, source = suspect.lie, suspect.source
        got = lie.got if isinstance(lie, DigestMismatch) else None
        theirs = "another transfer" if flight.held is not None else ""
        other = instead.source.upstream.name if instead is not None else theirs
        expected = flight.expected.digest
        self._observer(LieCaught(suspect.upstream, source.label, expected, got, lie.sentence, repository, other))


def _is_too_long(candidate: Candidate, partial: Partial, others: set[tuple[str, str]]) -> bool:
    """Have others sent more than is due?"""
    return bool(others) and candidate.due is not None and partial.growing.size > candidate.due


def _contradicts(lie: Lied) -> bool:
    """Is it a lie only if what others sent is right?"""
    return isinstance(lie, (DigestMismatch, HasLess))


def contributors_of(partial: Partial) -> set[tuple[str, str]]:
    """Whose bytes there are. A source that was asked and broke off before its first byte has sent nothing wrong."""
    return set(_sources(partial.parts, partial.size))


def upstreams_of(partial: Partial) -> set[str]:
    return {name for name, _ in contributors_of(partial)}


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
