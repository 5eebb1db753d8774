"""A flight's slot among the transfers of one upstream, of which there are only so many at once."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.pace import Overtaken, turn_after
from apprproxy.gateway.members.turns import Turns, transfers
from apprproxy.gateway.turnstile import Turnstile, Wanted
from apprproxy.gateway.waits import either

IN_MEMORY = 2
"""Transfers of each upstream that are held in memory at once, where the disk takes nothing: whoever sends slowly keeps
its place for as long as it likes."""

ROOM_AGAIN = 0.5
"""Seconds between two looks whether another upstream that has the bytes has room."""


class Slots:
    """``waiting`` is how many wait for one."""

    def __init__(self) -> None:
        self._turns = Turns(transfers)
        self._in_memory = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(IN_MEMORY))
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, flight: Flight, wanted: Wanted) -> AsyncIterator[None]:
        """A slot of the first upstream that may be asked and has room, for blobs and for documents apart. Who waits for
        one has no file and no descriptor. None is taken for what somebody else brings meanwhile."""
        async with AsyncExitStack() as slot:
            self.waiting += 1
            try:
                await self._taken(flight, wanted, slot)
            finally:
                self.waiting -= 1
            flight.diary.heard("other transfers of this upstream were before it")
            yield

    async def _taken(self, flight: Flight, wanted: Wanted, slot: AsyncExitStack) -> None:
        until = asyncio.get_running_loop().time() + turn_after(flight.candidates.rounds)
        while self._must_wait(flight, until):
            flight.diary.asks("its turn")
            first = flight.candidates.left[0]
            flight.queue = first.member.name
            queued = asyncio.ensure_future(slot.enter_async_context(self._turnstile(first).turn(wanted)))
            try:
                while not queued.done() and self._must_wait(flight, until):
                    await either(queued, flight.changed(), seconds=self._next_look(flight, first))
            finally:
                given, flight.queue = not queued.cancel(), ""
            if given:
                await queued
                flight.takes_slot(first.member.name)
                return
            await asyncio.wait([queued])
        if flight.held is None and (free := self._free(flight)) is not None:
            await slot.enter_async_context(self._turnstile(free).turn())
            flight.takes_slot(free.member.name)

    def _must_wait(self, flight: Flight, until: float) -> bool:
        """Not for what somebody else has brought meanwhile. Before ``until`` also where an upstream has room that has
        had more turns than the one in whose queue this is: who is slow always has room."""
        if flight.held is not None:
            return False
        free, early = self._free(flight), asyncio.get_running_loop().time() < until
        return free is None or (early and flight.candidates.had_more_turns(free, flight.candidates.left[0]))

    def _next_look(self, flight: Flight, queued: Candidate) -> float | None:
        """Seconds until then; none where there is no other queue: thousands of flights may wait in one, each of whose
        looks takes a tenth of a millisecond."""
        here = self._turnstile(queued)
        elsewhere = any(self._turnstile(one) is not here for one in flight.candidates.left)
        return ROOM_AGAIN if elsewhere else None

    def _free(self, flight: Flight) -> Candidate | None:
        return next((one for one in flight.candidates.left if not self._turnstile(one).full), None)

    def _turnstile(self, candidate: Candidate) -> Turnstile:
        return self._turns.of(candidate.member, "documents" if candidate.want.kind.document else "blobs")

    @asynccontextmanager
    async def in_memory(self, flight: Flight) -> AsyncIterator[None]:
        """One of the places in memory that the asked upstream has. Raises Overtaken where none is free within a turn,
        and another upstream could be asked."""
        slots = self._in_memory[flight.slot_at]
        alone = all(one.member.name == flight.slot_at for one in flight.candidates.left)
        try:
            async with asyncio.timeout(None if alone else turn_after(flight.candidates.rounds)):
                await slots.acquire()
        except TimeoutError:
            raise Overtaken from None
        try:
            yield
        finally:
            slots.release()
