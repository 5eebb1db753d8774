"""Work in a thread, one piece at a time: once for all who want the same meanwhile, and nobody waits for long.

A thousand who want the same wait as long as one, and what each would hold of it is held once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from apprproxy.core.errors import Crowded
from apprproxy.core.reading import READERS, with_turn

T = TypeVar("T")


@dataclass(slots=True)
class Shared(Generic[T]):
    """What is ``done`` for several. ``taken`` is left to whoever does it."""

    users: int = 0
    doing: asyncio.Lock = field(default_factory=asyncio.Lock)
    done: bool = False
    result: T | None = None
    taken: int = 0


class OneByOne:
    """``crowded`` is what somebody is told who has waited for ``patience`` seconds. Work that has begun is waited for,
    and done to its end even if nobody waits."""

    def __init__(self, patience: float, crowded: str, threads: Executor = READERS) -> None:
        self._patience = patience
        self._crowded = crowded
        self._threads = threads
        self._turn = asyncio.Lock()
        self._shared: dict[Hashable, Shared[Any]] = {}

    async def aside(self, key: Hashable, work: Callable[[], T]) -> T:
        """``work`` is blocking, and has the same result for the same ``key``. Raises Crowded."""
        async with self._sharing(("aside", key)) as one, self._waiting() as limit, one.doing:
            if not one.done:
                one.result, one.done = await self._do(limit, work), True
            return cast(T, one.result)

    @asynccontextmanager
    async def _sharing(self, key: Hashable) -> AsyncIterator[Shared[Any]]:
        one = self._shared.setdefault(key, Shared())
        one.users += 1
        try:
            yield one
        finally:
            one.users -= 1
            if not one.users:
                del self._shared[key]
                self._freed(one)

    def _freed(self, one: Shared[Any]) -> None:
        """Nobody shares it any more."""

    @asynccontextmanager
    async def _waiting(self) -> AsyncIterator[asyncio.Timeout]:
        """Raises Crowded. One limit to all that is waited for."""
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if limit.expired():
                raise Crowded(self._crowded, self._patience) from None
            raise

    async def _do(self, limit: asyncio.Timeout, work: Callable[[], T]) -> T:
        await self._turn.acquire()
        limit.reschedule(None)
        return await with_turn(self._turn, self._threads, work)
