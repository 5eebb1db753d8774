"""Time as it is given, so that nobody sleeps."""

import asyncio
from collections.abc import Callable

START = 1_800_000_000.0
PATIENCE = 5.0
"""Seconds after which a test that waits for something gives up."""


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


async def until(condition: Callable[[], bool]) -> None:
    """Let everything else go on until the condition holds; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


class Gate:
    """Holds back whoever comes until it is opened, and tells how many came."""

    def __init__(self) -> None:
        self.waiting = 0
        self._opened = asyncio.Event()

    async def __call__(self) -> None:
        self.waiting += 1
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()

    async def reached(self, by: int = 1) -> None:
        """Until so many stand before it."""
        await until(lambda: self.waiting >= by)
