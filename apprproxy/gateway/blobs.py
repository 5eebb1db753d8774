"""Bytes by digest: from the store, or by a flight that everyone who asks meanwhile shares."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from apprproxy.core.errors import Exhausted, Failure, NotHeld, NotThere, StoreFailed
from apprproxy.core.events import Observer
from apprproxy.core.model import BlobWant, Cache, Verdict
from apprproxy.core.ports.store import Held
from apprproxy.core.ports.upstream import Lane
from apprproxy.gateway.delivery.delivery import Delivery, Span
from apprproxy.gateway.delivery.passing import Passing
from apprproxy.gateway.delivery.side import AHEAD, Aside
from apprproxy.gateway.delivery.waiting import Waiting, bounded
from apprproxy.gateway.diary import THE_CACHE, WORTH_TELLING, Diary, Tried
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.fetch import Fetch
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.flights import Flights
from apprproxy.gateway.flights.pace import turn_after
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member, Members
from apprproxy.gateway.members.turns import Turns, half_of_those_beside
from apprproxy.gateway.names.route import home, order
from apprproxy.gateway.transfer import Brought, HeldTransfer, Transfer
from apprproxy.gateway.visible import EVERYTHING, NOTHING, Sight, Visible

log = logging.getLogger(__name__)

ASIDE = 5.0
"""Seconds in which a part asked beside a flight begins: there is no hurry that is worth waiting longer for."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A flight, with whom this caller would ask; ``collapsed`` where somebody else had begun it."""

    flight: Flight
    candidates: Sequence[Candidate]
    collapsed: bool


class Blobs:
    """``close`` breaks off what is under way."""

    def __init__(
        self,
        members: Members,
        shelf: Shelf,
        visible: Visible,
        observer: Observer,
        delivery: Delivery,
        *,
        offline: bool,
    ) -> None:
        self._members = members
        self._shelf = shelf
        self._visible = visible
        self._offline = offline
        self._delivery = delivery
        self._fetch = Fetch(shelf, observer, delivery.max_blob)
        self._flights = Flights(self._fetch, shelf.blobs, observer)
        self._passing = Passing(partial(self._fetch.rest, lane=Lane.BESIDE), observer)
        self._asides = Turns(half_of_those_beside)
        self._beginning: set[asyncio.Task[Joined]] = set()

    async def get(
        self, want: BlobWant, *, whole: bool = False, span: Span | None = None, only_held: bool = False
    ) -> Transfer:
        """``whole`` waits for the bytes, however long that takes; otherwise after ``patience`` a transfer whose size is
        known is returned, and one that is not known is waited for. Raises what ``Gateway.blob`` raises."""
        since = asyncio.get_running_loop().time()
        diary = Diary()
        with diary.meanwhile(THE_CACHE):
            members = await self._ordered(want)
            shown = await self._held(members, want)
        if shown is not None:
            shown.tried = _told(diary)
            return shown
        if only_held:
            raise NotHeld(f"{want.expected.digest} is not held, and no more was asked for (only-if-cached)")
        diary.asks("who has it")
        known, sight = await self._known(members, want, diary)
        seeing = [*known, *(one for one in members if one not in known)]
        diary.heard("is known")
        with diary.meanwhile(THE_CACHE):
            held = await self._found(want) if known else None
        if held is not None and sight.all:
            return self._hit(known[0], want, held, _told(diary))
        alone = bool(known) and (held is not None or self._comes_of_others(want, sight))
        if self._offline:
            raise _not_held(want)
        if span is not None:
            aside = await self._aside(known or members[:1], seeing, want, span, diary, alone=alone)
            if aside is not None:
                return aside
        diary.asks("its size")
        joined = await self._joined(seeing, want, known, diary, alone=alone)
        diary.heard("is known")
        waiting = Waiting(
            want,
            joined.flight,
            joined.candidates,
            since=since,
            waited=_told(diary),
            sight=sight,
            shelf=self._shelf,
            visible=self._visible,
            in_own_name=self._in_own_name,
            delivery=self._delivery,
            passing=self._passing,
        )
        return await waiting.transfer(Cache.COLLAPSED if joined.collapsed else Cache.MISS, whole=whole)

    @property
    def waiting(self) -> int:
        """Transfers that wait their turn."""
        return self._flights.waiting

    async def holds(self, want: BlobWant) -> bool:
        """Could ``get`` answer at once?"""
        return await self._held(await self._ordered(want), want) is not None

    async def durable(self, want: BlobWant) -> Brought:
        """Durable when it returns, if the disk takes it: a name's record is going to point at it."""
        transfer = await self.get(want, whole=True)
        held = await transfer.held()
        await self._flights.kept(want.expected)
        return Brought(held, transfer.verdict.detail != "unkept", transfer.tried)

    # --- what is here, and for whom

    async def _ordered(self, want: BlobWant) -> list[Member]:
        names, place = want.place.members, want.place
        if len(names) > 1:
            with suppress(StoreFailed):  # whose bytes they are their digest tells
                names = order(place, await self._shelf.names.owner(place.name, home(place, want.repository)))
        return [self._members(name) for name in names]

    async def _held(self, members: Sequence[Member], want: BlobWant) -> HeldTransfer | None:
        """If one of these repositories is known to show it, and it is held."""
        for member in members:
            if await self._visible.known(member, want):
                held = await self._found(want)
                return self._hit(member, want, held) if held is not None else None
        return None

    async def _found(self, want: BlobWant) -> Held | None:
        for flight in self._flights.under_way(want.expected):
            if flight.held is not None:
                return flight.held
        held = await self._shelf.blobs.find(want.expected)
        if held is not None:  # of a package the gzip that came first, whatever is brought once more
            return held
        return next((flight.held for flight in self._flights.landed(want.expected)), None)

    def _hit(self, member: Member, want: BlobWant, held: Held, waited: Sequence[Tried] = ()) -> HeldTransfer:
        self._shelf.index.used(held.digest)
        return HeldTransfer(Verdict(Cache.HIT), member.name, bounded(want, held, member.name), waited)

    async def _known(self, members: list[Member], want: BlobWant, diary: Diary) -> tuple[list[Member], Sight]:
        """The members that are known to show it there, and what may be given of it: they are asked first, the others of
        a view after them, for who says that it has the bytes may not bring them. Where none is known, and some of the
        bytes are here, their owners are asked for one that says it does; else, or where a transfer asks these members
        already, there is none, and their answers to the transfer decide."""
        flights = self._flights.under_way(want.expected)
        with diary.meanwhile(THE_CACHE):
            if not flights and not await self._shelf.blobs.begun(want.expected) and await self._found(want) is None:
                return [], NOTHING
            known = [one for one in members if await self._visible.known(one, want)]
        if known:
            return known, EVERYTHING
        if any(each.candidates.tries((one.name, want.repository), want.kind) for one in members for each in flights):
            return [], NOTHING
        if self._offline:
            raise _not_held(want)
        try:
            member, sight = await self._visible.sight(members, want)
        except Exhausted as unseen:
            if _may_stand_in(members, unseen) and await self._found(want) is None:
                return [], NOTHING  # whoever else asked for it decides nothing; what they bring is asked about again
            raise
        return [member], sight

    # --- on its way

    def _comes_of_others(self, want: BlobWant, sight: Sight) -> bool:
        """Is what arrives what other upstreams' accounts bring, and nobody else?"""
        senders = [one.member for flight in self._flights.under_way(want.expected) for one in flight.candidates]
        return bool(senders) and all(one.private and not sight.of(one.name) for one in senders)

    async def _in_own_name(self, member: Member, want: BlobWant) -> Held:
        """What is here and came in somebody else's name. Raises Exhausted, or StoreFailed."""
        joined = await self._joined([member], want, [], Diary(), alone=True)
        joined.flight.candidates.joined_by(joined.candidates)
        try:
            return await joined.flight.wait(joined.candidates)
        finally:
            joined.flight.candidates.left_by(joined.candidates)

    async def _joined(
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

    async def _said(self, member: Member, want: BlobWant) -> int | None:
        """The size that its owner told when it was asked by HEAD. A word for headers, and no more: some say so to HEAD
        and otherwise to GET."""
        if want.kind.document or want.expected.content is None:
            return None
        with suppress(StoreFailed):
            record = await self._shelf.names.get(member.name, want.presence.key)
            return record.target.size if record is not None and record.target.size > 0 else None
        return None

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

    async def _aside(
        self,
        believed: Sequence[Member],
        seeing: Sequence[Member],
        want: BlobWant,
        span: Span,
        diary: Diary,
        *,
        alone: bool,
    ) -> Transfer | None:
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
            aside.tried = _told(diary)
            self._begin(seeing, want, member, alone=alone)
            return aside
        return None

    def _begin(self, seeing: Sequence[Member], want: BlobWant, known: Member, *, alone: bool) -> None:
        joining = self._joined(seeing, want, [known], Diary(), alone=alone)
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
        await self._flights.close()


def _not_held(want: BlobWant) -> NotHeld:
    """Offline. Likewise of what is held and may not be shown there: nobody is told what others have here."""
    which = want.expected.digest
    return NotHeld(f"{want.place.name}: offline, and {which} is not held, or not known to be in {want.repository}")


def _may_stand_in(members: Sequence[Member], unseen: Exhausted) -> bool:
    """Is there a mirror that may be asked for an owner that could not answer?"""
    away = {failure.source for failure in unseen.failures if not isinstance(failure, NotThere)}
    return any(member.mirrors and not member.private and member.name in away for member in members)


def _told(diary: Diary) -> tuple[Tried, ...]:
    return tuple(tried for tried in diary.tried if tried.seconds >= WORTH_TELLING)
