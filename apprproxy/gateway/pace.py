"""In a view, who sends too little while the next member could be asked makes way for it.

They take turns, twice as long after each round: what comes of different upstreams is never mixed, so that each begins
anew, and whoever needs some time has it after four times as long.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flight import Candidate, Flight

LOOK = 2.0
"""Seconds of the first turn; within those that a lookup has, and clients wait for a header."""
LEAST = 256 * KIB
"""Bytes a second."""
ROUNDS = 20
"""After which turns get no longer: they take weeks."""


class Overtaken(Exception):
    sentence = f"sent less than {LEAST // KIB} KiB a second, or too much, while another upstream could be asked"


@asynccontextmanager
async def paced(flight: Flight, candidate: Candidate, partial: Partial) -> AsyncIterator[None]:
    """Raises Overtaken."""
    limit = asyncio.timeout(None)
    looking = asyncio.ensure_future(_look(flight, candidate, partial, limit))
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise Overtaken from None
        raise
    finally:
        looking.cancel()


async def _look(flight: Flight, candidate: Candidate, partial: Partial, limit: asyncio.Timeout) -> None:
    member, turn = candidate.member.name, LOOK * 2.0 ** min(flight.rounds // 2, ROUNDS)
    while True:
        before = partial.size
        await asyncio.sleep(turn)
        others = flight.others(member)
        slow = partial.size - before < LEAST * turn
        if others and (slow or any(one.due is not None and one.due < partial.size for one in others)):
            break
    flight.yields(member)
    limit.reschedule(asyncio.get_running_loop().time())
