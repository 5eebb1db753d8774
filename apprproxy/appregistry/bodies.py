"""Pushed bodies on their way in: so many at once, none of them for ever, and nobody's several before another's first.

- A body that comes more slowly than ``SLOWEST`` is broken off, as is one that stalls.
- Where all places are taken, one that is still coming gives way to who has waited ``PATIENCE``: the newest of a client
  that has several, if who waits has none; else the slowest below ``BUSY``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from apprproxy.core.errors import Crowded
from apprproxy.core.model import KIB

AT_ONCE = 4
"""Bodies in memory at the most, of each upstream: they stay until it has answered."""
TURN = 30.0
"""Seconds that a client waits for others' writes before it is told to come back."""
PATIENCE = 5.0
LONGEST = 600.0
"""Seconds for a whole body."""
GRACE = 10.0
"""Seconds in which no speed is asked for."""
SLOWEST = 16 * KIB
"""Bytes a second."""
BUSY = 256 * KIB
"""Likewise, of who may stay while others wait: 64 MiB in four minutes."""


@dataclass(slots=True, eq=False)
class Body:
    """``client`` is an address. ``deadline`` is there while it is coming; times are the loop's."""

    client: str
    began: float = 0.0
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    received: int = 0
    deadline: asyncio.Timeout | None = None
    gave_way: bool = False

    @property
    def is_coming(self) -> bool:
        """And nothing has ended that."""
        return self.deadline is not None and not self.deadline.expired() and not self.gave_way

    def due(self, now: float, stall: float) -> float:
        """When the next piece has to be there."""
        return min(now + stall, self.began + LONGEST, self.began + GRACE + self.received / SLOWEST)

    def speed(self, now: float) -> float:
        return self.received / max(now - self.began, 0.001)


class Bodies:
    """The places of one upstream, and who waits for one."""

    def __init__(self) -> None:
        self._bodies: list[Body] = []
        self._waiting: list[Body] = []

    @asynccontextmanager
    async def place(self, client: str, upstream: str) -> AsyncIterator[Body]:
        """Raises Crowded where others take too long."""
        body = Body(client)
        self._waiting.append(body)
        try:
            self._admit()
            await self._turn(body, upstream)
            yield body
        finally:
            (self._bodies if body.admitted.is_set() else self._waiting).remove(body)
            self._admit()

    async def _turn(self, body: Body, upstream: str) -> None:
        try:
            async with asyncio.timeout(TURN):
                while not await _within(PATIENCE, body.admitted):
                    self._make_way(body.client)
        except TimeoutError:
            raise Crowded(f"{AT_ONCE} writes to {upstream} are under way here already", TURN) from None

    def _admit(self) -> None:
        while self._waiting and len(self._bodies) < AT_ONCE:
            here = {body.client for body in self._bodies}
            chosen = next((body for body in self._waiting if body.client not in here), self._waiting[0])
            self._waiting.remove(chosen)
            self._bodies.append(chosen)
            chosen.began = asyncio.get_running_loop().time()
            chosen.admitted.set()

    def _make_way(self, client: str) -> None:
        now = asyncio.get_running_loop().time()
        body = gives_way(self._bodies, client, now)
        if body is not None and body.deadline is not None:
            body.gave_way = True
            body.deadline.reschedule(now)


def gives_way(bodies: Iterable[Body], client: str, now: float) -> Body | None:
    """Whose place this client is to have; the bodies are in the order in which they came."""
    coming = [body for body in bodies if body.is_coming]
    several = Counter(body.client for body in coming)
    if client not in several:
        newest = next((body for body in reversed(coming) if several[body.client] > 1), None)
        if newest is not None:
            return newest
    slow = [body for body in coming if now - body.began > GRACE and body.speed(now) < BUSY]
    return min(slow, key=lambda body: body.speed(now), default=None)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
