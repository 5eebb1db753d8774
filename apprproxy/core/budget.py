"""So many bytes at once, over all who need some: first come, first served."""

import asyncio
from collections import deque


class Budget:
    """``give`` back what was taken, and what it has grown by."""

    def __init__(self, size: int) -> None:
        self.size = self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def grow(self, size: int) -> bool:
        """Takes so many more at once, if there are as many and nobody waits for some; says whether it did."""
        if self._waiting or size > self._left:
            return False
        self._left -= size
        return True

    async def take(self, size: int) -> None:
        """``size`` is not more than there are at all."""
        if self.grow(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await asyncio.shield(turn)
        except BaseException:
            if turn.done():  # it came while its owner left
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self.give(0)
            raise

    def give(self, size: int) -> None:
        self._left += size
        while self._waiting and self._waiting[0][0] <= self._left:
            wanted, turn = self._waiting.popleft()
            self._left -= wanted
            turn.set_result(None)
