"""How many things of a sort are under way at once for each upstream, measured by the connections that it may have."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from apprproxy.core.ports.upstream import beside
from apprproxy.gateway.member import Member

Share = Callable[[int], int]
"""Of an upstream's connections, how many this sort may take."""
Wanted = Callable[[], bool]
"""Is there still somebody who waits for it?"""


def transfers(connections: int) -> int:
    """Those that everybody shares: one that has its turn has a connection."""
    return connections


def half_of_those_beside(connections: int) -> int:
    """Two sorts of single clients divide them: parts, and bytes that cannot be kept."""
    return beside(connections) // 2


def _always() -> bool:
    return True


class Room:
    """For ``places`` at once, in the order in which they come; but what nobody waits for any more comes last."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: dict[asyncio.Future[None], Wanted] = {}

    @property
    def full(self) -> bool:
        return self._free <= 0 or bool(self._queue)

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

    def _give_back(self) -> None:
        chosen = next((mine for mine, wanted in self._queue.items() if wanted()), None) or next(iter(self._queue), None)
        if chosen is None:
            self._free += 1
        else:
            del self._queue[chosen]
            chosen.set_result(None)


class Turns:
    def __init__(self, share: Share) -> None:
        self._share = share
        self._rooms: dict[tuple[str, str], Room] = {}

    def of(self, member: Member, sort: str = "") -> Room:
        """Whoever waits for it has nothing open yet."""
        key = (member.name, sort)
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(self._share(member.connections))
        return room
