"""Bytes by digest: from the store, or by a flight that everyone who asks meanwhile shares."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from apprproxy.core.errors import Exhausted, Lied, Moved, NotHeld, NotThere
from apprproxy.core.model import MAX_DOCUMENT, BlobWant, Cache, Kind, Verdict
from apprproxy.core.ports import Held, Observer
from apprproxy.gateway.fetch import Fetch
from apprproxy.gateway.flight import Candidate, Flight, Flights
from apprproxy.gateway.member import Members
from apprproxy.gateway.route import home, order
from apprproxy.gateway.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rules for when something leaves. ``patience`` in seconds, ``max_blob`` in bytes."""

    patience: float = 10.0
    max_blob: int = 64 * 1024**3


class Transfer:
    """A blob that is held, or on its way. ``size`` is known; the bytes are had from ``held``."""

    def __init__(self, verdict: Verdict, origin: str, held: Held | None, wait: "Wait | None" = None) -> None:
        self.verdict = verdict
        self.origin = origin
        self._held = held
        self._wait = wait

    @property
    def size(self) -> int:
        if self._held is not None:
            return self._held.size
        assert self._wait is not None
        assert self._wait.flight.size is not None
        return self._wait.flight.size

    async def held(self) -> Held:
        """The verified bytes; raises what ``Gateway.blob`` raises."""
        if self._held is None:
            assert self._wait is not None
            self._held = await self._wait.done()
        return self._held


@dataclass(frozen=True, slots=True)
class Wait:
    """One caller's wait for a flight."""

    flight: Flight
    candidates: tuple[Candidate, ...]
    blobs: "Blobs"

    async def done(self) -> Held:
        try:
            return await self.flight.wait(self.candidates)
        except Exhausted as failed:
            await self.blobs.explain_move(self.candidates, failed)
            raise


class Blobs:
    """``close`` breaks off what is under way."""

    def __init__(
        self, members: Members, shelf: Shelf, observer: Observer, delivery: Delivery, *, offline: bool
    ) -> None:
        self._members = members
        self._shelf = shelf
        self._offline = offline
        self._delivery = delivery
        self._flights = Flights(Fetch(shelf.blobs, shelf.misses, observer, delivery.max_blob), observer)

    async def get(self, want: BlobWant, *, whole: bool = False) -> Transfer:
        """Verified bytes, or after ``patience`` a transfer whose size is known.

        ``whole`` waits for the bytes however long that takes. Raises Exhausted, Moved or NotHeld.
        """
        candidates = await self._candidates(want)
        under_way = self._flights.under_way(want.expected)
        held = await self._shelf.blobs.find(want.expected)
        if held is None and under_way is not None:
            held = under_way.held  # it may have been committed, and have ended, while we looked
        if held is not None:
            return Transfer(Verdict(Cache.HIT), candidates[0].member.name if candidates else "", _bounded(want, held))
        if self._offline:
            raise NotHeld(f"offline, and {want.expected.digest} is not held")
        flight, joined = self._flights.join(want.expected, candidates)
        wait = Wait(flight, candidates, self)
        task = asyncio.ensure_future(wait.done())
        try:
            await asyncio.wait([task], timeout=None if whole else self._delivery.patience)
            await _first(task, flight.sized())
            held = await task if task.done() or flight.size is None else None
            verdict = Verdict(Cache.COLLAPSED if joined else Cache.MISS, stored=True, before=flight.before)
            if held is None:
                return Transfer(verdict, candidates[0].member.name, None, wait)
            return Transfer(verdict, flight.origin, _bounded(want, held))
        finally:
            task.cancel()

    async def holds(self, want: BlobWant) -> bool:
        """Could ``get`` answer at once?"""
        return self._flights.landed(want.expected) or await self._shelf.blobs.find(want.expected) is not None

    async def _candidates(self, want: BlobWant) -> tuple[Candidate, ...]:
        names = want.place.members
        if len(names) > 1:
            names = order(want.place, await self._shelf.names.owner(want.place.name, home(want.place, want.repository)))
        return tuple(Candidate(self._members(name), want) for name in names)

    async def durable(self, want: BlobWant) -> Held:
        """Durable when it returns: a name's record is going to point at it."""
        held = await (await self.get(want, whole=True)).held()
        await self._flights.kept(want.expected)
        return held

    async def explain_move(self, candidates: tuple[Candidate, ...], failed: Exhausted) -> None:
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
