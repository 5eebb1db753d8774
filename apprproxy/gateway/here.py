"""What is here, and for whom."""

from collections.abc import Sequence
from contextlib import suppress

from apprproxy.core.errors import Exhausted, NotHeld, NotThere, StoreFailed
from apprproxy.core.model import BlobWant, Cache, Verdict
from apprproxy.core.ports.store import Held
from apprproxy.gateway.delivery.waiting import bounded
from apprproxy.gateway.diary import THE_CACHE, Diary, Tried
from apprproxy.gateway.flights.flights import Flights
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member, Members
from apprproxy.gateway.names.route import order
from apprproxy.gateway.transfer import HeldTransfer
from apprproxy.gateway.visible import EVERYTHING, NOTHING, Sight, Visible


class Here:
    """It begins no transfer; what ``flights`` have brought is here before the index says so."""

    def __init__(self, members: Members, shelf: Shelf, visible: Visible, flights: Flights, *, offline: bool) -> None:
        self._members = members
        self._shelf = shelf
        self._visible = visible
        self._flights = flights
        self._offline = offline

    async def ordered(self, want: BlobWant) -> list[Member]:
        names, place = want.place.members, want.place
        if len(names) > 1:
            with suppress(StoreFailed):  # whose bytes they are their digest tells
                names = order(place, await self._shelf.names.owner(place.name, place.home(want.repository)))
        return [self._members(name) for name in names]

    async def shown(self, members: Sequence[Member], want: BlobWant) -> HeldTransfer | None:
        """If one of these repositories is known to show it, and it is held."""
        for member in members:
            if await self._visible.known(member, want):
                held = await self.found(want)
                return self.hit(member, want, held) if held is not None else None
        return None

    async def found(self, want: BlobWant) -> Held | None:
        for flight in self._flights.under_way(want.expected):
            if flight.held is not None:
                return flight.held
        held = await self._shelf.blobs.find(want.expected)
        if held is not None:  # of a package the gzip that came first, whatever is brought once more
            return held
        return next((flight.held for flight in self._flights.landed(want.expected)), None)

    def hit(self, member: Member, want: BlobWant, held: Held, waited: Sequence[Tried] = ()) -> HeldTransfer:
        self._shelf.index.used(held.digest)
        return HeldTransfer(Verdict(Cache.HIT), member.name, bounded(want, held, member.name), waited)

    async def seen(self, members: list[Member], want: BlobWant, diary: Diary) -> tuple[list[Member], Sight]:
        """The members that are known to show it there, and what may be given of it: they are asked first, the others of
        a view after them, for who says that it has the bytes may not bring them. Where none is known, and some of the
        bytes are here, their owners are asked for one that says it does; else, or where a transfer asks these members
        already, there is none, and their answers to the transfer decide. Raises what ``Gateway.blob`` raises."""
        flights = self._flights.under_way(want.expected)
        with diary.meanwhile(THE_CACHE):
            if not flights and not await self._shelf.blobs.begun(want.expected) and await self.found(want) is None:
                return [], NOTHING
            known = [one for one in members if await self._visible.known(one, want)]
        if known:
            return known, EVERYTHING
        if any(each.candidates.tries((one.name, want.repository), want.kind) for one in members for each in flights):
            return [], NOTHING
        if self._offline:
            raise not_held(want)
        try:
            member, sight = await self._visible.sight(members, want)
        except Exhausted as unseen:
            if _may_stand_in(members, unseen) and await self.found(want) is None:
                return [], NOTHING  # whoever else asked for it decides nothing; what they bring is asked about again
            await self._shelf.first_seen.explain(want, unseen)
            raise
        return [member], sight


def not_held(want: BlobWant) -> NotHeld:
    """Offline. Likewise of what is held and may not be shown there: nobody is told what others have here."""
    which = want.expected.digest
    return NotHeld(f"{want.place.name}: offline, and {which} is not held, or not known to be in {want.repository}")


def _may_stand_in(members: Sequence[Member], unseen: Exhausted) -> bool:
    """Is there a mirror that may be asked for an owner that could not answer?"""
    away = {failure.source for failure in unseen.failures if not isinstance(failure, NotThere)}
    return any(member.mirrors and not member.private and member.name in away for member in members)
