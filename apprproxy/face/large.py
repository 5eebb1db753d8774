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
from dataclasses import dataclass, field
from typing import TypeVar

from apprproxy.core.errors import Crowded
from apprproxy.core.model import KIB, MIB
from apprproxy.core.reading import in_turn

BUDGET = 64 * MIB
SMALL = 64 * KIB
"""Up to which nothing is counted: connections are bounded, too."""
PATIENCE = 10.0
"""Seconds that a request waits for room, before it is told to come back after as many."""

T = TypeVar("T")


class Budget:
    """So many bytes, first come first served."""

    def __init__(self, size: int, patience: float) -> None:
        self._size = self._left = size
        self._patience = patience
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Returns what to ``give`` back; what is larger than the budget has all of it. Raises Crowded."""
        size = min(size, self._size)
        if size <= SMALL:
            return 0
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.shield(turn)
        except BaseException as error:
            self._leave(size, turn)
            if isinstance(error, TimeoutError):
                reason = "too many large answers are being sent; ask for less, or again"
                raise Crowded(reason, self._patience) from None
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


@dataclass(slots=True)
class _Shared:
    users: int = 0
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    body: bytes | None = None
    taken: int = 0


class Large:
    """One for all faces."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget(BUDGET, PATIENCE)
        self._turn = asyncio.Lock()
        self._shared: dict[Hashable, _Shared] = {}

    async def aside(self, read: Callable[[], T]) -> T:
        """Something else that takes a document apart, in its turn."""
        return await in_turn(self._turn, read)

    @asynccontextmanager
    async def body(self, key: Hashable, size: int, make: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """``make`` is blocking, and makes at most about ``size`` bytes, the same for the same ``key``. To be left when
        they are sent. Raises Crowded."""
        one = self._shared.setdefault(key, _Shared())
        one.users += 1
        try:
            async with one.making:
                if one.body is None:
                    await self._make(one, size, make)
                assert one.body is not None
            yield one.body
        finally:
            one.users -= 1
            if not one.users:
                del self._shared[key]
                self._budget.give(one.taken)

    async def _make(self, one: _Shared, size: int, make: Callable[[], bytes]) -> None:
        taken = await self._budget.take(size)
        try:
            one.body = await self.aside(make)
            one.taken = min(taken, len(one.body)) if len(one.body) > SMALL else 0
        finally:
            self._budget.give(taken - one.taken)
