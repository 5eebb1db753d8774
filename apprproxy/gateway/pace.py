"""In a view, who sends too little while the next member could be asked makes way for it, and so does, in the end, who
goes on and on: it may be garbage.

They take turns, twice as long after each round, and each has a file of its own, with which it goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flight import Candidate, Flight

LOOK = 2.0
"""Seconds of the first turn; within those that a lookup has, and clients wait for a header."""
LONGEST = 30.0
"""Likewise, of whoever is quick."""
LEAST = 256 * KIB
"""Bytes a second."""
ROUNDS = 20
"""After which turns get no longer: they take weeks."""


def longer(flight: Flight) -> float:
    """By how much turns are longer than the first by now."""
    return 2.0 ** min(flight.rounds // 2, ROUNDS)


class Overtaken(Exception):
    sentence = f"sent less than {LEAST // KIB} KiB a second, or for too long, while another upstream could be asked"


class Pace:
    """Of one attempt."""

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
    before = partial.size
    while not await _landed(flight, LOOK):
        if now() - since < LOOK * longer(flight):
            continue
        slow = partial.size - before < LEAST * (now() - since) or now() - began >= LONGEST * longer(flight)
        if pace.is_theirs() and slow and flight.others(member):
            flight.yields(member)
            break
        since, before = now(), partial.size
    limit.reschedule(now())


async def _landed(flight: Flight, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await flight.landed.wait()
    except TimeoutError:
        return False
