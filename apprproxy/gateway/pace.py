"""Who sends too little while others could be asked is asked again after them: a digest is shared by upstreams that have
nothing else to do with each other, and one must not keep it from another's clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flight import Candidate, Flight

LOOK = 2.0
"""Seconds; within those that a lookup has, and clients wait for a header."""
LEAST = 16 * KIB
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
    come = LEAST * LOOK
    while come >= LEAST * LOOK or not flight.postpone(candidate.member.name):
        before = partial.size
        await asyncio.sleep(LOOK)
        come = partial.size - before
    limit.reschedule(asyncio.get_running_loop().time())
