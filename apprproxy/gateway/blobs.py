"""Bytes by digest: from the store, or by a flight that everyone who asks meanwhile shares."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from apprproxy.core.errors import Exhausted, Failure, Lied, Moved, NotHeld, NotThere, StoreFailed
from apprproxy.core.model import MAX_DOCUMENT, MIB, BlobWant, Cache, Kind, Verdict
from apprproxy.core.ports import Held, Observer, Readable
from apprproxy.gateway.fetch import Fetch
from apprproxy.gateway.flight import Candidate, Flight
from apprproxy.gateway.flights import Flights
from apprproxy.gateway.follow import Following
from apprproxy.gateway.member import Member, Members
from apprproxy.gateway.passing import Passing
from apprproxy.gateway.route import home, order
from apprproxy.gateway.shelf import Shelf
from apprproxy.gateway.side import AHEAD, Aside
from apprproxy.gateway.transfer import HeldTransfer, Pieces, Transfer
from apprproxy.gateway.visible import Visible


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rules for when something leaves. ``patience`` in seconds, ``max_blob`` and ``side_range`` in bytes; ``stream`` is
    whose bytes may leave before they are verified: ``owner``, ``any`` or ``never``."""

    patience: float = 10.0
    max_blob: int = 64 * 1024**3
    stream: str = "owner"
    side_range: int = 8 * MIB


@dataclass(frozen=True, slots=True)
class Span:
    """A closed range that a client asks for, before anybody knows the size: ``start`` up to ``stop``."""

    start: int
    stop: int


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
        self._passing = Passing(self._fetch.rest, observer)

    async def get(self, want: BlobWant, *, whole: bool = False, span: Span | None = None) -> Transfer:
        """``whole`` waits for the bytes, however long that takes; otherwise after ``patience`` a transfer whose size is
        known is returned, and one that is not known is waited for. Raises Exhausted, Moved or NotHeld."""
        members = await self._ordered(want)
        shown = await self._held(members, want)
        if shown is not None:
            return shown
        seeing, entitled = await self._seeing(members, want)
        if entitled and (held := await self._found(want)) is not None:
            return self._hit(seeing[0], want, held)
        if self._offline:
            raise NotHeld(f"{want.place.name}: offline, and {want.expected.digest} is not held")
        candidates = await self._candidates(seeing, want)
        flight, joined = self._flights.join(want.expected, candidates)
        if span is not None and (aside := await self._aside(flight, candidates, span)) is not None:
            return aside
        return await self._awaited(want, flight, candidates, joined=joined, entitled=entitled, whole=whole)

    async def holds(self, want: BlobWant) -> bool:
        """Could ``get`` answer at once?"""
        return await self._held(await self._ordered(want), want) is not None

    async def durable(self, want: BlobWant) -> Held:
        """Durable when it returns: a name's record is going to point at it."""
        held = await (await self.get(want, whole=True)).held()
        await self._flights.kept(want.expected)
        return held

    # --- what is here, and for whom

    async def _ordered(self, want: BlobWant) -> list[Member]:
        names = want.place.members
        if len(names) > 1:
            names = order(want.place, await self._shelf.names.owner(want.place.name, home(want.place, want.repository)))
        return [self._members(name) for name in names]

    async def _held(self, members: Sequence[Member], want: BlobWant) -> Transfer | None:
        """If one of these repositories is known to show it, and it is held."""
        for member in members:
            if await self._visible.known(member, want):
                held = await self._found(want)
                return self._hit(member, want, held) if held is not None else None
        return None

    async def _found(self, want: BlobWant) -> Held | None:
        flight = self._flights.under_way(want.expected)
        if flight is not None and flight.held is not None:
            return flight.held
        return await self._shelf.blobs.find(want.expected)

    def _hit(self, member: Member, want: BlobWant, held: Held) -> Transfer:
        self._shelf.index.used(held.digest)
        return HeldTransfer(Verdict(Cache.HIT), member.name, _bounded(want, held))

    async def _seeing(self, members: list[Member], want: BlobWant) -> tuple[list[Member], bool]:
        """The members in whose name it may be had, and whether that is certain. Where nothing of it is here, or they
        are being asked already, their own answer decides; else one that has it, and if none is known they are asked."""
        flight = self._flights.under_way(want.expected)
        if flight is None and not await self._shelf.blobs.begun(want.expected) and await self._found(want) is None:
            return members, False
        known = [one for one in members if await self._visible.known(one, want)]
        if known:
            return known, True
        asked = [one for one in members if flight is not None and flight.tries((one.name, want.repository), want.kind)]
        if asked:
            return asked, False
        if self._offline:
            raise NotHeld(f"{want.place.name}: offline, and it is not known whether {want.repository} has it")
        return [await self._visible.among(members, want)], True

    # --- on its way

    async def _candidates(self, members: Sequence[Member], want: BlobWant) -> tuple[Candidate, ...]:
        found: list[Candidate] = []
        for member in members:
            due = await self._due(member, want)
            found += [Candidate(member, source, want, due) for source in member.sources]
        return tuple(found)

    async def _due(self, member: Member, want: BlobWant) -> int | None:
        """The size, as a manifest states it. A mirror must not be the one to tell it: then the owner is asked first."""
        if want.expected.size is not None:
            return want.expected.size
        due = await self._shelf.index.stated_size(member.where(want.repository), want.expected.key)
        if due is None and member.mirrors and want.kind is Kind.BLOB and want.expected.content is not None:
            try:
                return await self._visible.confirmed(member, want)
            except Failure:
                return None  # the mirrors may have it all the same; then nothing leaves before it is verified
        return due

    async def _aside(self, flight: Flight, candidates: Sequence[Candidate], span: Span) -> Transfer | None:
        if span.stop - span.start > self._delivery.side_range or span.start < flight.arrived + AHEAD:
            return None
        for candidate in candidates:
            if candidate.source.owner:
                aside = Aside(candidate, span.start, span.stop)
                try:
                    await aside.begin()
                except Failure:
                    continue  # the flight finds out what is the matter
                return aside
        return None

    async def _awaited(
        self,
        want: BlobWant,
        flight: Flight,
        candidates: Sequence[Candidate],
        *,
        joined: bool,
        entitled: bool,
        whole: bool,
    ) -> Transfer:
        verdict = Verdict(Cache.COLLAPSED if joined else Cache.MISS, stored=True, before=flight.before)

        async def done() -> Held:
            return await self._done(want, flight, candidates, entitled=entitled)

        def instead(at: int, stop: int, size: int, there: Readable | None) -> Pieces:
            return self._passing.pieces(self._streamable(candidates), at, stop, size, there)

        def following(size: int) -> Transfer:
            return Following(
                verdict,
                flight,
                candidates,
                size,
                stream=self._delivery.stream,
                entitled=entitled,
                done=done,
                instead=instead,
            )

        task = asyncio.ensure_future(done())
        try:
            await asyncio.wait([task], timeout=None if whole else self._delivery.patience)
            size = await self._sized(task, flight, candidates)
            if not task.done():
                assert size is not None
                return following(size)
            try:
                held = await task
            except StoreFailed:
                if whole or size is None or not self._streamable(candidates):
                    raise
                return following(size)
            origin = (flight.winner or candidates[0]).member.name
            verdict = Verdict(verdict.cache, stored=True, before=flight.before)
            return HeldTransfer(verdict, origin, _bounded(want, held))
        finally:
            task.cancel()

    def _streamable(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Whose bytes may leave before they are verified."""
        match self._delivery.stream:
            case "never":
                return []
            case "any":
                return list(candidates)
            case _:
                return [one for one in candidates if one.source.owner]

    async def _sized(self, task: asyncio.Future[Any], flight: Flight, candidates: Sequence[Candidate]) -> int | None:
        """The size, as soon as somebody has told it who may; or until the task is done."""

        def told() -> int | None:
            sizes = (one.due if one.due is not None else flight.sizes.get(one.member.name) for one in candidates)
            return next((size for size in sizes if size is not None), None)

        while told() is None and not task.done():
            await _first(task, flight.changed())
        return told()

    async def _done(self, want: BlobWant, flight: Flight, candidates: Sequence[Candidate], *, entitled: bool) -> Held:
        """The verified bytes, once it is known that these candidates may show them."""
        try:
            held = await flight.wait(candidates)
        except Exhausted as failed:
            await self._explain_move(candidates, failed)
            raise
        mine = flight.winner is not None and flight.winner.place in {one.place for one in candidates}
        if not entitled and not mine:
            await self._visible.among([one.member for one in candidates if one.source.owner], want)
        self._shelf.index.used(held.digest)
        return held

    async def _explain_move(self, candidates: Sequence[Candidate], failed: Exhausted) -> None:
        """Raise Moved where the bytes are nowhere because the release that named them moved."""
        if not all(isinstance(failure, NotThere) for failure in failed.failures):
            return
        for candidate in candidates:
            if not candidate.want.pin:
                return
            move = await self._shelf.pins.move(candidate.member.name, candidate.want.pin)
            if move is not None and move.first == candidate.want.expected.digest:
                raise Moved(move) from failed

    async def close(self) -> None:
        await self._flights.close()


async def _first(task: asyncio.Future[Any], other: Coroutine[None, None, None]) -> None:
    """Until one of the two is done; the task goes on."""
    race: asyncio.Future[Any] = asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, race], return_when=asyncio.FIRST_COMPLETED)
    finally:
        race.cancel()


def _bounded(want: BlobWant, held: Held) -> Held:
    """What is held may be some blob of any size; a manifest is read into memory."""
    if want.kind is Kind.MANIFEST and held.size > MAX_DOCUMENT:
        raise Exhausted([Lied(want.place.name, f"has {held.size} bytes under {held.digest}, which is no manifest")])
    return held
