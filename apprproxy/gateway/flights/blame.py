"""Which of an upstream's sources sent the wrong bytes? Told from who contributed; an owner is asked before one of
several mirrors is blamed.

Nobody is counted as a liar before it is proven: of a mixture, once the right bytes are here, by what each had sent.
"""

from collections.abc import Sequence

from apprproxy.core.errors import DigestMismatch, HasLess, Lied, OtherSize, TooMuch
from apprproxy.core.events import LieCaught, Observer
from apprproxy.core.label import Label
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.contributors import contributors_of
from apprproxy.gateway.flights.evidence import collected
from apprproxy.gateway.flights.flight import Flight


class Blame:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def lay(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied, since: int) -> bool:
        """The candidate lied, or the bytes were wrong once it had sent the last of them. Those before ``since`` had
        lain on the disk. Returns whether what is there may be continued."""
        contributors, mine = contributors_of(partial), candidate.label
        too_long = isinstance(lie, OtherSize) and _is_too_long(candidate, partial, contributors - {mine})
        if too_long and flight.candidates.may_begin_anew(candidate):
            return False  # it is no beginning of what is due: somebody else left it
        if isinstance(lie, OtherSize) and candidate.due is not None:  # a manifest may have made that up, and anybody
            flight.suspicion.disagrees(candidate, candidate.due, lie)  # may have pushed the manifest
            flight.candidates.fail(candidate, lie)
            return flight.current is None or mine not in contributors  # none of what is there came with that answer
        if isinstance(lie, TooMuch):  # an honest mirror has what its owner has, and a layer for who asks for a manifest
            flight.suspicion.exceeds(candidate, lie.total, lie)
            flight.candidates.fail(candidate, lie)
            return mine not in contributors
        unasked = flight.current is None and isinstance(lie, DigestMismatch)
        continued = contributors == {mine} and bool(partial.parts[-1].start or flight.current is None)
        if (unasked or continued) and flight.candidates.may_begin_anew(candidate):
            return False  # what it continued had lain on the disk, and may have been spoilt there: it sends the whole
        if unasked:
            await self._suspect(flight, _mirrors(flight, contributors), partial, lie, since)
            flight.candidates.fail(candidate, lie)
            return False
        by_itself = not (candidate.source.owner or _contradicts(lie))
        if by_itself or contributors <= {mine}:  # it is wrong by itself, whatever was there before
            self._convict(flight, candidate, lie)
            return mine not in contributors  # it lied in its headers, and none of its bytes were taken
        self._contradicted(flight, candidate, partial, lie)
        await self._doubt(flight, candidate, partial, lie, since)
        return False

    def _contradicted(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied) -> None:
        """What is there does not fit what it says of the size: who is wrong is known once the bytes are right."""
        if isinstance(lie, HasLess):
            flight.suspicion.claims(candidate, lie.total, lie)
        elif candidate.label not in contributors_of(partial):
            flight.suspicion.claims(candidate, partial.size, lie)

    async def _doubt(self, flight: Flight, candidate: Candidate, partial: Partial, lie: Lied, since: int) -> None:
        """Some of those who contributed. Where no mirror is among them (only its owner, which is never distrusted, or
        a mirror that is not asked any more), this one sends the whole, once."""
        contributors = contributors_of(partial)
        mirrors = _mirrors(flight, contributors)
        await self._suspect(flight, mirrors, partial, lie, since)
        if mirrors or flight.candidates.may_begin_anew(candidate):
            return
        if candidate.label in contributors:
            self._convict(flight, candidate, lie)
        else:
            flight.candidates.fail(candidate, lie)

    async def _suspect(
        self, flight: Flight, mirrors: Sequence[Candidate], partial: Partial, lie: Lied, since: int
    ) -> None:
        """None is asked again before the right bytes are here, which say who it was."""
        flight.suspicion.mixed(mirrors, lie, await collected(partial, since))
        flight.candidates.distrust([one.source for one in mirrors], lie)

    def _convict(self, flight: Flight, candidate: Candidate, lie: Lied) -> None:
        candidate.source.health.lied()
        flight.candidates.fail(candidate, lie)
        self._tell(flight, candidate.label, lie, candidate.want.repository, flight.candidates.next())

    async def clear(self, flight: Flight) -> None:
        """Once the bytes are here, by whomever: whoever sent others, or had another size, was wrong."""
        held = flight.held
        if held is None:
            return
        for suspect in flight.suspicion:
            if await suspect.is_refuted_by(held):
                suspect.source.health.lied()
                asked = (one.want.repository for one in flight.candidates if one.source is suspect.source)
                label = Label(suspect.upstream, suspect.source.label)
                self._tell(flight, label, suspect.lie, next(asked, ""), flight.winner)

    def _tell(self, flight: Flight, whose: Label, lie: Lied, repository: str, instead: Candidate | None) -> None:
        got = lie.got if isinstance(lie, DigestMismatch) else None
        theirs = "another transfer" if flight.held is not None else ""
        other = instead.source.upstream.name if instead is not None else theirs
        expected = flight.expected.digest
        self._observer(LieCaught(whose.upstream, whose.source, expected, got, lie.sentence, repository, other))


def _is_too_long(candidate: Candidate, partial: Partial, others: set[Label]) -> bool:
    """Have others sent more than is due?"""
    return bool(others) and candidate.due is not None and partial.growing.size > candidate.due


def _contradicts(lie: Lied) -> bool:
    """Is it a lie only if what others sent is right?"""
    return isinstance(lie, (DigestMismatch, HasLess))


def _mirrors(flight: Flight, contributors: set[Label]) -> list[Candidate]:
    return [one for one in flight.candidates if not one.source.owner and one.label in contributors]
