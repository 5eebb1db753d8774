"""Waiting for one of two things, and time that does not count."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


async def either(task: asyncio.Future[Any], other: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
    """Until one of the two is done, or so long; the task goes on."""
    race: asyncio.Future[Any] = asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, race], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        race.cancel()


@contextmanager
def not_counted(limit: asyncio.Timeout) -> Iterator[None]:
    """What is ours to write down is no part of the upstream's time."""
    now, when = asyncio.get_running_loop().time, limit.when()
    begun = now()
    limit.reschedule(None)
    try:
        yield
    finally:
        limit.reschedule(None if when is None else when + now() - begun)
