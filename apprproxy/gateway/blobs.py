"""Bytes by digest: from the store, or by a flight that everyone who asks meanwhile shares."""

import asyncio
from functools import partial

from apprproxy.core.errors import NotHeld
from apprproxy.core.events import Observer
from apprproxy.core.model import BlobWant, Cache
from apprproxy.core.ports.upstream import Lane
from apprproxy.gateway.coming import Coming
from apprproxy.gateway.delivery.delivery import Delivery, Span
from apprproxy.gateway.delivery.passing import Passing
from apprproxy.gateway.delivery.waiting import Waiting
from apprproxy.gateway.diary import THE_CACHE, Diary
from apprproxy.gateway.flights.fetch import Fetch
from apprproxy.gateway.flights.flights import Flights
from apprproxy.gateway.here import Here, not_held
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Members
from apprproxy.gateway.transfer import Brought, Transfer
from apprproxy.gateway.visible import Visible


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
        fetch = Fetch(shelf, observer, delivery.max_blob)
        self._flights = Flights(fetch, shelf.blobs, observer)
        self._here = Here(members, shelf, visible, self._flights, offline=offline)
        self._coming = Coming(shelf, visible, self._flights, delivery)
        self._passing = Passing(partial(fetch.rest, lane=Lane.BESIDE), observer)
        self._shelf = shelf
        self._visible = visible
        self._delivery = delivery
        self._offline = offline

    async def get(
        self, want: BlobWant, *, whole: bool = False, span: Span | None = None, only_held: bool = False
    ) -> Transfer:
        """``whole`` waits for the bytes, however long that takes, unless they have to be passed on; otherwise after
        ``patience`` a transfer whose size is known is returned, and one that is not known is waited for. Raises what
        ``Gateway.blob`` raises."""
        since = asyncio.get_running_loop().time()
        diary = Diary()
        with diary.meanwhile(THE_CACHE):
            members = await self._here.ordered(want)
            shown = await self._here.shown(members, want)
        if shown is not None:
            shown.tried = diary.worth_telling
            return shown
        if only_held:
            raise NotHeld(f"{want.expected.digest} is not held, and no more was asked for (only-if-cached)")
        diary.asks("who has it")
        known, sight = await self._here.seen(members, want, diary)
        seeing = [*known, *(one for one in members if one not in known)]
        diary.heard("is known")
        with diary.meanwhile(THE_CACHE):
            held = await self._here.found(want) if known else None
        if held is not None and sight.all:
            return self._here.hit(known[0], want, held, diary.worth_telling)
        alone = bool(known) and (held is not None or self._coming.comes_of_others(want, sight))
        if self._offline:
            raise not_held(want)
        if span is not None:
            aside = await self._coming.aside(known or members[:1], seeing, want, span, diary, alone=alone)
            if aside is not None:
                return aside
        diary.asks("its size")
        joined = await self._coming.joined(seeing, want, known, diary, alone=alone)
        diary.heard("is known")
        waiting = Waiting(
            want,
            joined.flight,
            joined.candidates,
            since=since,
            waited=diary.worth_telling,
            sight=sight,
            shelf=self._shelf,
            visible=self._visible,
            in_own_name=self._coming.in_own_name,
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
        return await self._here.shown(await self._here.ordered(want), want) is not None

    async def durable(self, want: BlobWant) -> Brought:
        """Durable when it returns, if the disk takes it: a name's record is going to point at it."""
        transfer = await self.get(want, whole=True)
        try:
            held = await transfer.held()
        finally:
            await transfer.close()
        await self._flights.kept(want.expected)
        return Brought(held, transfer.verdict.detail != "unkept", transfer.tried)

    async def close(self) -> None:
        await self._coming.close()
        await self._flights.close()
