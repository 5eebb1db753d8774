"""Answers that are made for whoever asks, within a budget: so many bytes at once, over all requests of the process.

- A slow client holds its whole body for minutes, and a few dozens of them more than the process has.
- One body is made at a time: a document that is taken apart takes many times its size, and a thread that holds up all
  others.
- Those who ask the same at the same time are sent the same bytes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import cast

from apprproxy.core.model import KIB, MIB
from apprproxy.core.one_by_one import OneByOne, Shared

BUDGET = 64 * MIB
SMALL = 64 * KIB
"""Up to which nothing is counted: connections are bounded, too."""
PATIENCE = 10.0
"""Seconds that a request waits for room and its turn, before it is told to come back after as many."""

_CROWDED = "too many large answers are wanted at once; ask for less, or again"


class Budget:
    """So many bytes, first come first served."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Returns what to ``give`` back; what is larger than the budget has all of it."""
        size = min(size, self._size)
        if size <= SMALL:
            return 0
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            await asyncio.shield(turn)
        except BaseException:
            self._leave(size, turn)
            raise
        return size

    def give(self, size: int) -> None:
        self._left += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            size, turn = self._waiting.popleft()
            self._left -= size
            turn.set_result(None)

    def _leave(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done():  # it came while its owner left
            self.give(size)
        else:
            self._waiting.remove((size, turn))
            self._admit()


class Large(OneByOne):
    """One for all faces."""

    def __init__(self, budget: Budget | None = None, patience: float | None = None) -> None:
        super().__init__(PATIENCE if patience is None else patience, _CROWDED)
        self._budget = budget or Budget(BUDGET)

    @asynccontextmanager
    async def body(self, key: Hashable, size: int, make: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """``make`` is blocking, and makes at most about ``size`` bytes, the same for the same ``key``. To be left when
        they are sent. Raises Crowded."""
        async with self._sharing(("body", key)) as one:
            async with self._waiting() as limit, one.doing:
                if not one.done:
                    await self._make(one, limit, size, make)
            yield cast(bytes, one.result)

    async def _make(self, one: Shared[bytes], limit: asyncio.Timeout, size: int, make: Callable[[], bytes]) -> None:
        taken = await self._budget.take(size)
        try:
            body = await self._do(limit, make)
            one.result, one.done = body, True
            one.taken = min(taken, len(body)) if len(body) > SMALL else 0
        finally:
            self._budget.give(taken - one.taken)

    def _freed(self, one: Shared[bytes]) -> None:
        self._budget.give(one.taken)
