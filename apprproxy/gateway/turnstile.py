"""So many at once, in the order in which they come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

Wanted = Callable[[], bool]
"""Is there still somebody who waits for it?"""

LOOK_AGAIN = 0.5
"""Seconds after which those that nobody waited for are looked at again: there may be thousands, and as many places
given back at once."""


def _always() -> bool:
    return True


class Turnstile:
    """For ``places`` at once, in the order in which they come; but what nobody waits for any more comes last."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: dict[asyncio.Future[None], Wanted] = {}
        self._unwanted: dict[asyncio.Future[None], Wanted] = {}
        self._looked = 0.0

    @property
    def full(self) -> bool:
        return self._free <= 0 or any(self._queued())

    @asynccontextmanager
    async def turn(self, wanted: Wanted = _always) -> AsyncIterator[None]:
        await self._take(wanted)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, wanted: Wanted) -> None:
        if not self.full:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue[mine] = wanted
        try:
            await mine
        except asyncio.CancelledError:
            if not self._leaves(mine):  # it was given a place at the same moment
                self._give_back()
            raise

    def _queued(self) -> Iterator[asyncio.Future[None]]:
        """One that was cancelled is about to leave."""
        return (mine for queue in (self._unwanted, self._queue) for mine in queue if not mine.done())

    def _leaves(self, mine: asyncio.Future[None]) -> bool:
        """Was it queued?"""
        return any(queue.pop(mine, None) is not None for queue in (self._queue, self._unwanted))

    def _give_back(self) -> None:
        chosen = self._first_wanted() or next(self._queued(), None)
        if chosen is None:
            self._free += 1
        else:
            self._leaves(chosen)
            chosen.set_result(None)

    def _first_wanted(self) -> asyncio.Future[None] | None:
        """Those before it are put by."""
        now = asyncio.get_running_loop().time()
        if now - self._looked >= LOOK_AGAIN:
            self._queue, self._unwanted, self._looked = {**self._unwanted, **self._queue}, {}, now
        passed: dict[asyncio.Future[None], Wanted] = {}
        chosen = None
        for mine, wanted in self._queue.items():
            if not mine.done():
                if wanted():
                    chosen = mine
                    break
                passed[mine] = wanted
        for mine in passed:
            del self._queue[mine]
        self._unwanted |= passed
        return chosen
