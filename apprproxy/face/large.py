"""Answers that are made for whoever asks, within a budget: so many bytes at once, over all requests of the process.

- A slow client holds its whole body for minutes, and a few dozens of them more than the process has.
- One body is made at a time: a document that is taken apart takes many times its size, and a thread that holds up all
  others. Upstreams and views have turns: what is large and wanted of one waits for room one by one.
- Those who ask the same at the same time are sent the same bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

from apprproxy.core.budget import Budget
from apprproxy.core.model import KIB, MIB
from apprproxy.core.one_by_one import OneByOne, Shared, forget

BUDGET = 64 * MIB
SMALL = 64 * KIB
"""Up to which nothing is counted: connections are bounded, too."""
PATIENCE = 10.0
"""Seconds that a request waits for room and its turn, before it is told to come back after as many."""

T = TypeVar("T")

_CROWDED = "too many large answers are wanted at once; ask for less, or again"


class Large:
    """One for all faces."""

    def __init__(self, budget: int | None = None, patience: float | None = None) -> None:
        self._budget = Budget(BUDGET if budget is None else budget)
        self._turns = OneByOne(PATIENCE if patience is None else patience, _CROWDED, freed=self._freed)
        self._rooms: dict[str, asyncio.Lock] = {}

    async def aside(self, whose: str, key: Hashable, work: Callable[[], T], keep: Callable[[T], None] = forget) -> T:
        """``work`` is blocking, takes something apart, and has the same result for the same ``key``, which is to be
        kept; ``whose`` names the upstream or the view. Raises Crowded."""
        return await self._turns.aside(whose, key, work, keep)

    @asynccontextmanager
    async def body(self, whose: str, key: Hashable, size: int, make: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """``make`` is blocking, and makes at most about ``size`` bytes, the same for the same ``key``; ``whose`` names
        the upstream or the view. To be left when they are sent. Raises Crowded."""
        async with self._turns.sharing(("body", key), lambda one: self._made(one, whose, size, make)) as body:
            yield body

    async def _made(self, one: Shared[bytes], whose: str, size: int, make: Callable[[], bytes]) -> bytes:
        taken = min(size, self._budget.size) if size > SMALL else 0
        async with self._room(whose) if taken else nullcontext():
            await self._budget.take(taken)
            try:
                body = await self._turns.done(one, whose, make)
                one.taken = min(taken, len(body)) if len(body) > SMALL else 0
            finally:
                self._budget.give(taken - one.taken)
        return body

    def _room(self, whose: str) -> AbstractAsyncContextManager[None]:
        """Only one of them waits for room, or has some before it has its turn: a dozen lists that wait are all there
        is."""
        return self._rooms.setdefault(whose, asyncio.Lock())

    def _freed(self, one: Shared[Any]) -> None:
        self._budget.give(one.taken)
