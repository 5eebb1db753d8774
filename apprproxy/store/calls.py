"""What threads have done, heard where it matters."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any


def on_loop(call: Callable[[], None]) -> Callable[[Future[Any]], None]:
    """What a thread's future is to call, called on the event loop of who asks now."""
    loop = asyncio.get_running_loop()

    def done(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
            loop.call_soon_threadsafe(call)

    return done
