"""In a view, who sends too little while the next member could be asked makes way for it, and so does, in the end, who
goes on and on: it may be garbage.

They take turns, twice as long after each round, and each has a file of its own, with which it goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.flight import Flight

LOOK = 2.0
"""Seconds of the first turn; within those that a lookup has, and clients wait for a header."""
LONGEST = 30.0
"""Likewise, of whoever is quick."""
LEAST = 256 * KIB
"""Bytes a second."""
ROUNDS = 20
"""After which turns get no longer: they take weeks."""


def longer(rounds: int) -> float:
    """By how much turns are longer than the first by now."""
    return 2.0 ** min(rounds // 2, ROUNDS)


def turn_after(rounds: int) -> float:
    """Seconds that one has who does nothing with them."""
    return LOOK * longer(rounds)


class Overtaken(Exception):
    sentence = f"sent less than {LEAST // KIB} KiB a second, or for too long, while another upstream could be asked"


class Pace:
    """Whose time it is that passes in one attempt: the source's, or this gateway's own."""

    def __init__(self) -> None:
        self._at_work = self._worked = False

    @contextmanager
    def ours(self) -> Iterator[None]:
        """The time that this gateway takes for itself."""
        self._at_work = self._worked = True
        try:
            yield
        finally:
            self._at_work = False

    def is_theirs(self) -> bool:
        """Was all the time since this was asked last the source's?"""
        worked, self._worked = self._worked, self._at_work
        return not worked


class Lull:
    """Whether a source takes too long, where every byte goes to one client, who may be the slow one: only the time
    counts in which the source was waited for. One that is quick ends by itself, with the last byte that is due."""

    def __init__(self, rounds: int | None) -> None:
        """None where nobody else could be asked."""
        self._longest = turn_after(rounds) if rounds is not None else None
        self._waited = 0.0
        self._came = 0

    @asynccontextmanager
    async def theirs(self) -> AsyncIterator[None]:
        """Time that the source takes. Raises Overtaken once it has taken too much for what came."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            async with asyncio.timeout(self._longest and max(0.0, self._longest - self._waited)) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise Overtaken from None
            raise
        finally:
            self._waited += now() - began

    def came(self, count: int) -> None:
        self._came += count
        if self._longest is not None and self._came >= LEAST * self._longest:
            self._came, self._waited = 0, 0.0


@asynccontextmanager
async def paced(flight: Flight, candidate: Candidate, partial: Partial) -> AsyncIterator[Pace]:
    """Raises Overtaken, also where the bytes have come from elsewhere."""
    limit, pace = asyncio.timeout(None), Pace()
    looking = asyncio.ensure_future(_look(flight, candidate, partial, pace, limit))
    try:
        async with limit:
            yield pace
    except TimeoutError:
        if limit.expired():
            raise Overtaken from None
        raise
    finally:
        looking.cancel()


async def _look(flight: Flight, candidate: Candidate, partial: Partial, pace: Pace, limit: asyncio.Timeout) -> None:
    now, member = asyncio.get_running_loop().time, candidate.member.name
    began = since = now()
    first = before = partial.size
    while not await _landed(flight, LOOK):
        if now() - since < turn_after(flight.candidates.rounds):
            continue
        too_long = now() - began >= LONGEST * longer(flight.candidates.rounds)
        if flight.candidates.others(member):
            over = too_long or partial.size - before < LEAST * (now() - since)
        else:  # nobody else is asked, but what had no room can be passed on: who is slow is not waited for without end
            over = too_long and bool(flight.candidates.no_room) and partial.size - first < LEAST * (now() - began)
        if pace.is_theirs() and over:
            flight.candidates.yields(member)
            break
        since, before = now(), partial.size
    limit.reschedule(now())


async def _landed(flight: Flight, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await flight.landed.wait()
    except TimeoutError:
        return False
