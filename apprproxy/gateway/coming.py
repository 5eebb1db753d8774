"""Who may send bytes that are not here, and the flight that brings them."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from apprproxy.core.errors import Failure, NotHeld, NotThere, StoreFailed
from apprproxy.core.model import BlobWant
from apprproxy.core.ports.store import Held
from apprproxy.gateway.delivery.delivery import Delivery, Span
from apprproxy.gateway.delivery.side import AHEAD, Aside
from apprproxy.gateway.diary import THE_CACHE, Diary
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.flights import Flights
from apprproxy.gateway.flights.pace import turn_after
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.members.turns import Turns, half_of_those_beside
from apprproxy.gateway.visible import Sight, Visible

log = logging.getLogger(__name__)

ASIDE = 5.0
"""Seconds in which a part asked beside a flight begins: there is no hurry that is worth waiting longer for."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A flight, with whom this caller would ask; ``collapsed`` where somebody else had begun it."""

    flight: Flight
    candidates: Sequence[Candidate]
    collapsed: bool


class Coming:
    """``close`` breaks off what begins; ``flights`` are their owner's to close, after it."""

    def __init__(self, shelf: Shelf, visible: Visible, flights: Flights, delivery: Delivery) -> None:
        self._shelf = shelf
        self._visible = visible
        self._flights = flights
        self._delivery = delivery
        self._asides = Turns(half_of_those_beside)
        self._beginning: set[asyncio.Task[Joined]] = set()

    def comes_of_others(self, want: BlobWant, sight: Sight) -> bool:
        """Is what arrives what other upstreams' accounts bring, and nobody else?"""
        senders = [one.member for flight in self._flights.under_way(want.expected) for one in flight.candidates]
        return bool(senders) and all(one.private and not sight.of(one.name) for one in senders)

    async def joined(
        self, seeing: Sequence[Member], want: BlobWant, known: Sequence[Member], diary: Diary, *, alone: bool
    ) -> Joined:
        """``alone``: what is held, and what others bring, is not for them to see."""
        candidates = await self._candidates(seeing, want)
        flight, collapsed = self._flights.join(want.expected, candidates, alone=alone)
        flight.candidates.confirm([one for one in candidates if one.member in known])
        with diary.meanwhile(THE_CACHE):
            for member in seeing:
                if (size := await self._said(member, want)) is not None:
                    flight.sizes.setdefault(member.name, size)
        return Joined(flight, candidates, collapsed)

    async def in_own_name(self, member: Member, want: BlobWant) -> Held:
        """What is here and came in somebody else's name. Raises Exhausted, or StoreFailed."""
        joined = await self.joined([member], want, [], Diary(), alone=True)
        joined.flight.candidates.joined_by(joined.candidates)
        try:
            return await joined.flight.wait(joined.candidates)
        finally:
            joined.flight.candidates.left_by(joined.candidates)

    async def aside(
        self,
        believed: Sequence[Member],
        seeing: Sequence[Member],
        want: BlobWant,
        span: Span,
        diary: Diary,
        *,
        alone: bool,
    ) -> Aside | None:
        """Only that part, at once: the transfer of the whole begins behind it. Nobody can verify a part, so that it is
        taken of those alone whose word counts for the whole."""
        ours = {member.name for member in seeing}
        flights = (one for one in self._flights.under_way(want.expected, alone=alone) if one.lead in ours)
        arrived = max((one.arrived for one in flights), default=0)
        if span.length > self._delivery.side_range or span.start < arrived + AHEAD:
            return None
        if self._delivery.stream == "never":
            return None  # nobody can verify a part
        for member in believed:
            turnstile = self._asides.of(member)
            if turnstile.full:
                continue
            aside = Aside(Candidate(member, member.sources[-1], want), span.start, span.stop, turnstile)
            diary.asks(f"a part from {member.name}")
            try:
                async with asyncio.timeout(ASIDE):
                    await aside.begin()
            except (Failure, TimeoutError) as failure:
                diary.heard(str(failure) or "did not come in time")
                continue  # the flight finds out what is the matter
            diary.heard("sent it")
            aside.tried = diary.worth_telling
            self._begin(seeing, want, member, alone=alone)
            return aside
        return None

    def _begin(self, seeing: Sequence[Member], want: BlobWant, known: Member, *, alone: bool) -> None:
        joining = self.joined(seeing, want, [known], Diary(), alone=alone)
        task = asyncio.create_task(joining, name=f"begin {want.expected.key}")
        self._beginning.add(task)
        task.add_done_callback(self._begun)

    def _begun(self, task: asyncio.Task[Joined]) -> None:
        self._beginning.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None and not isinstance(failure, Failure):
            log.error("a transfer could not begin", exc_info=failure)

    async def close(self) -> None:
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(*self._beginning, return_exceptions=True)

    # --- who could send it

    async def _candidates(self, members: Sequence[Member], want: BlobWant) -> tuple[Candidate, ...]:
        found: list[Candidate] = []
        for member in members:
            try:
                async with asyncio.timeout(turn_after(0) if len(members) > 1 else None):
                    due, sources = await self._due(member, want, first=member is members[0]), member.sources
            except (Failure, TimeoutError):  # no mirror opens what its owner does not: that is to say why
                due, sources = None, member.sources[-1:]
            found += [Candidate(member, source, want, due) for source in sources]
        return tuple(found)

    async def _due(self, member: Member, want: BlobWant, *, first: bool) -> int | None:
        """The size, as a manifest states it. A mirror must not be the one to tell it, nor to open what only an account
        may see: then the owner is asked before, and of a view's later members no mirror, since whoever is first may
        send it at once. Raises a Failure where no mirror is to be asked."""
        if want.expected.size is not None:
            return want.expected.size
        due: int | None = None
        with suppress(StoreFailed):
            due = await self._shelf.index.stated_size(member.where(want.repository), want.expected.key)
        if not member.mirrors:
            return due
        unseen = member.private and not await self._visible.known(member, want)
        unsized = due is None and not want.kind.document and want.expected.content is not None
        if (unseen or unsized) and not first:
            raise NotHeld(f"{member.name} is asked nothing before its turn")
        if unseen:
            return await self._visible.confirmed(member, want) or due
        if unsized:
            try:
                return await self._visible.confirmed(member, want)
            except NotThere:
                raise
            except Failure:
                return None  # the mirrors may have it all the same; then nothing leaves before it is verified
        return due

    async def _said(self, member: Member, want: BlobWant) -> int | None:
        """The size that its owner told when it was asked by HEAD. A word for headers, and no more: some say so to HEAD
        and otherwise to GET."""
        if want.kind.document or want.expected.content is None:
            return None
        with suppress(StoreFailed):
            record = await self._shelf.names.get(member.name, want.presence.key)
            if record is not None and record.told == member.identity and record.target.size > 0:
                return record.target.size
        return None
