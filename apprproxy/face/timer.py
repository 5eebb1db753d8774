"""Something that is to happen later, once, unless it is stopped before."""

import asyncio
from collections.abc import Callable


class Timer:
    """Keeps what it is to call only while it runs: a connection would be in a cycle with its own method otherwise."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Anew, where it runs already."""
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._end, call)

    def _end(self, call: Callable[[], None]) -> None:
        self._handle = None
        call()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
