"""Whether this process itself is late with what is due: without processor time, or behind something that holds its
loop, every upstream looks slow."""

import asyncio
import time
from collections.abc import Callable

from apprproxy.core.model import Clock
from apprproxy.ops.logs import logger, stamp

OFTEN = 0.5
"""Seconds from one look to the next: each is as late as everything else that was due then."""
SPAN = 10.0
"""Seconds that are judged together."""
MUCH = 2.0
"""Seconds of those in which it was late; less than a quarter of them is on time."""
AGAIN = 60.0
"""Seconds from one line to the next while it lasts, and on time until it is over: it may come and go."""


class Lateness:
    """``count`` is told the seconds by which each look was late. ``close`` it."""

    def __init__(self, count: Callable[[float], None], now: Clock = time.time) -> None:
        self._count = count
        self._now = now
        self._since: float | None = None
        self._last = self._told = 0.0
        self._task = asyncio.create_task(self._go_on(), name="lateness")

    async def _go_on(self) -> None:
        now = asyncio.get_running_loop().time
        begun, late = now(), 0.0
        while True:
            due = now() + OFTEN
            await asyncio.sleep(OFTEN)
            behind = max(0.0, now() - due)
            self._count(behind)
            late += behind
            if late >= MUCH or now() - begun >= SPAN:
                self.judge(late, now() - begun)
                begun, late = now(), 0.0

    def judge(self, late: float, span: float) -> None:
        """It was ``late`` in all by so many of the last ``span`` seconds."""
        now = self._now()
        if late >= MUCH / 4:
            self._last = now
        if late >= MUCH and self._since is None:
            self._since = now - span
        if self._since is None:
            return
        if late >= MUCH and not 0 <= now - self._told < AGAIN:
            self._told = now
            logger("apprproxy").warning(
                "this gateway is late itself",
                seconds=round(late, 1),
                since=stamp(self._since),
                hint="it lacks processor time, or was stopped: what it says of slow upstreams meanwhile may be its own",
            )
        elif not 0 <= now - self._last < AGAIN:
            logger("apprproxy").info("this gateway is on time again", after=round(self._last - self._since, 1))
            self._since = None

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
