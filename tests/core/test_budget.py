"""So many bytes for all: whoever comes first has them first, and who leaves keeps none."""

import asyncio

import pytest

from apprproxy.core.budget import Budget
from apprproxy.core.model import MAX_DOCUMENT, MIB


async def test_who_leaves_while_it_waits_for_room_keeps_none() -> None:
    budget = Budget(2 * MAX_DOCUMENT)
    assert budget.grow(MAX_DOCUMENT + MIB)
    waiting = [asyncio.create_task(budget.take(MAX_DOCUMENT)) for _ in range(2)]
    await asyncio.sleep(0)

    assert not budget.grow(1)  # nor is there room for less before those who wait have theirs
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    budget.give(MIB)
    await waiting[1]
    assert not budget.grow(1)
    budget.give(MAX_DOCUMENT)
    assert budget.grow(MAX_DOCUMENT)


async def test_who_leaves_as_it_is_given_room_gives_it_back() -> None:
    budget = Budget(MAX_DOCUMENT)
    assert budget.grow(1)
    waiting = asyncio.create_task(budget.take(MAX_DOCUMENT))
    await asyncio.sleep(0)
    budget.give(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert budget.grow(MAX_DOCUMENT)
