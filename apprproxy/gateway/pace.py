"""Who sends too little while others could be asked makes way for them: a digest is shared by upstreams that have
nothing else to do with each other, and one must not keep it from another's clients.

They take turns, longer ones each time: one that is slow to begin is not given up for one that goes on slowly for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flight import Candidate, Flight

LOOK = 2.0
"""Seconds of the first turn; within those that a lookup has, and clients wait for a header."""
LONGEST = 60.0
LEAST = 256 * KIB
"""Bytes a second."""


class Overtaken(Exception):
    sentence = f"sent less than {LEAST // KIB} KiB a second while another upstream could be asked"


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
    turn = min(LOOK * 2.0 ** (flight.rounds // 2), LONGEST)
    come = LEAST * turn
    while come >= LEAST * turn or not flight.yields(candidate.member.name):
        before = partial.size
        await asyncio.sleep(turn)
        come = partial.size - before
    limit.reschedule(asyncio.get_running_loop().time())
