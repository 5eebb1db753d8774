"""Waiting for one of two things."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def either(task: asyncio.Future[Any], other: Coroutine[None, None, None], seconds: float | None = None) -> None:
    """Until one of the two is done, or so long; the task goes on."""
    race: asyncio.Future[Any] = asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, race], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        race.cancel()
