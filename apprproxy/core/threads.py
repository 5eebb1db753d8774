"""Work that blocks, in threads, without holding up everybody else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from apprproxy.core.errors import StoreFailed

T = TypeVar("T")
P = ParamSpec("P")

READERS = ThreadPoolExecutor(2, "documents")
_UNHURRIED = ThreadPoolExecutor(2, "lists")
_AT_LENGTH = ThreadPoolExecutor(2, "blobs")


async def unhurried(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In threads of its own: for what no pull waits for."""
    return await asyncio.get_running_loop().run_in_executor(_UNHURRIED, partial(read, *args, **kwargs))


async def at_length(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Likewise, for what reads a whole blob once more: at the disk's pace, while others have files to open."""
    return await asyncio.get_running_loop().run_in_executor(_AT_LENGTH, partial(read, *args, **kwargs))


async def in_turn(turn: asyncio.Lock, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """One at a time for each ``turn``, which lasts until it has been read even if its caller has gone; in threads of
    their own, for long documents must not take those that files are read in."""
    await turn.acquire()
    return await with_turn(turn, READERS, partial(read, *args, **kwargs))


async def with_turn(turn: asyncio.Lock, threads: Executor, read: Callable[[], T]) -> T:
    """The same, by whoever has the turn and has not waited since. Raises StoreFailed where no thread can be begun."""
    try:
        reading = asyncio.get_running_loop().run_in_executor(threads, read)
    except RuntimeError as error:
        turn.release()
        raise StoreFailed(f"what was sent cannot be read: {error}") from error
    reading.add_done_callback(partial(_end, turn))
    return await asyncio.shield(reading)


def _end(turn: asyncio.Lock, reading: asyncio.Future[T]) -> None:
    turn.release()
    if not reading.cancelled():
        reading.exception()  # it may be that nobody waits to be told
