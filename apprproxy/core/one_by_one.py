"""Work in a thread, one piece at a time: once for all who want the same meanwhile, and nobody waits for long.

A thousand who want the same wait as long as one, and what each would hold of it is held once. Upstreams and views have
turns: however much is wanted of one, what is wanted of another waits for one piece of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from apprproxy.core.errors import Crowded
from apprproxy.core.threads import READERS, with_turn

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Shared(Generic[T]):
    """What is done for several. ``begun`` once it has its turn; ``taken`` is left to whoever does it."""

    users: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0


def forget(_: object) -> None: ...


class OneByOne:
    """``crowded`` is what somebody is told who has waited for ``patience`` seconds. Work that has begun is waited for,
    and done to its end even if nobody waits. ``freed`` is told of what nobody shares any more."""

    def __init__(
        self,
        patience: float,
        crowded: str,
        threads: Executor = READERS,
        freed: Callable[[Shared[Any]], None] = forget,
    ) -> None:
        self._patience = patience
        self._crowded = crowded
        self._threads = threads
        self._freed = freed
        self._turn = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = {}
        self._shared: dict[Hashable, tuple[Shared[Any], asyncio.Task[Any]]] = {}

    async def aside(self, whose: str, key: Hashable, work: Callable[[], T], keep: Callable[[T], None] = forget) -> T:
        """``work`` is blocking, and has the same result for the same ``key``, of which ``keep`` is told, once.
        ``whose`` is as ``done`` has it. Raises Crowded, and what ``work`` raises."""

        async def kept(one: Shared[T]) -> T:
            result = await self.done(one, whose, work)
            keep(result)
            return result

        async with self.sharing(("aside", key), kept) as result:
            return result

    @asynccontextmanager
    async def sharing(self, key: Hashable, make: Callable[[Shared[T]], Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
        """The result of ``make``, which calls ``done``: made for whoever comes first, and shared with all who come
        until nobody uses it any more. Raises Crowded, and what ``make`` raises."""
        if key in self._shared:
            one, making = self._shared[key]
        else:
            one = Shared[T]()
            making = asyncio.create_task(make(one), name=f"one by one {key!r:.80}")
            self._shared[key] = one, making
            making.add_done_callback(lambda _: self._ended(key, one, making))
        one.users += 1
        try:
            yield await self._made(one, making)
        finally:
            one.users -= 1
            if not one.users:
                self._left(key, one, making)

    async def _made(self, one: Shared[T], making: "asyncio.Task[T]") -> T:
        begun = asyncio.ensure_future(one.begun.wait())
        try:
            await asyncio.wait([begun, making], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        if not (one.begun.is_set() or making.done()):
            raise Crowded(self._crowded, self._patience)
        return await asyncio.shield(making)

    async def done(self, one: Shared[T], whose: str, work: Callable[[], T]) -> T:
        """``work``, once it is its turn: one of each upstream or view, ``whose`` it is, waits for that beside those of
        others. These are of the configuration: whatever is named here is remembered."""
        async with self._turns.setdefault(whose, asyncio.Lock()):
            await self._turn.acquire()
            one.begun.set()
            return await with_turn(self._turn, self._threads, work)

    def _left(self, key: Hashable, one: Shared[Any], making: "asyncio.Task[Any]") -> None:
        """Nobody uses it any more."""
        if making.done() or not one.begun.is_set():
            making.cancel()
            del self._shared[key]
            self._freed(one)

    def _ended(self, key: Hashable, one: Shared[Any], making: "asyncio.Task[Any]") -> None:
        if not making.cancelled():
            making.exception()  # maybe nobody waits to be told
        if not one.users and self._shared.get(key) == (one, making):
            self._left(key, one, making)
