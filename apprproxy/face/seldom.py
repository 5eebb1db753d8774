"""What would be told by the thousand is told once in a while, with how often it was."""

import time
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec

EVERY = 60.0
"""Seconds."""

P = ParamSpec("P")


class Seldom(Generic[P]):
    """``tell`` is given how often it was since it was told last, this time included, and what is known of this time."""

    def __init__(self, tell: Callable[Concatenate[int, P], None], now: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._now = now
        self._count = 0
        self._next = float("-inf")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self._count += 1
        now = self._now()
        if now >= self._next:
            count, self._count, self._next = self._count, 0, now + EVERY
            self._tell(count, *args, **kwargs)
