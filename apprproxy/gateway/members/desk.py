"""Where the documents of one upstream are taken apart: short ones at once, those that take time in a thread, one at a
time, so that they wait for one of each other upstream at the most."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from apprproxy.core.budget import Budget
from apprproxy.core.ports.store import Held
from apprproxy.core.reading import content, if_short
from apprproxy.core.threads import in_turn
from apprproxy.gateway.members.pile import ROOM

T = TypeVar("T")
P = ParamSpec("P")


class Desk:
    """``room`` is for what waits to be taken apart."""

    def __init__(self) -> None:
        self.room = Budget(ROOM)
        self._turn = asyncio.Lock()

    async def take_apart(self, short: bool, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """By ``read``, which does nothing else: its thread is everybody's."""
        if short:
            return read(*args, **kwargs)
        return await in_turn(self._turn, read, *args, **kwargs)

    async def read(self, document: Held, read: Callable[[bytes], T]) -> T:
        """The same for what is held, which is brought into memory when it has its turn; raises StoreFailed."""
        if (small := await if_short(document)) is not None:
            return read(small)
        return await in_turn(self._turn, lambda: read(content(document)))
