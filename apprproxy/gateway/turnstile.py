"""So many at once, in the order in which they come."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

Wanted = Callable[[], bool]
"""Is there still somebody who waits for it?"""


def _always() -> bool:
    return True


class Turnstile:
    """For ``places`` at once, in the order in which they come; but what nobody waits for any more comes last."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: dict[asyncio.Future[None], Wanted] = {}

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
            if self._queue.pop(mine, None) is None:  # it was given a place at the same moment
                self._give_back()
            raise

    def _queued(self) -> Iterator[asyncio.Future[None]]:
        """One that was cancelled is about to leave."""
        return (mine for mine in self._queue if not mine.done())

    def _give_back(self) -> None:
        queued = list(self._queued())
        chosen = next((mine for mine in queued if self._queue[mine]()), next(iter(queued), None))
        if chosen is None:
            self._free += 1
        else:
            del self._queue[chosen]
            chosen.set_result(None)
