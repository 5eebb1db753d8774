"""What several want is done once, and nobody is told to come back whose work has begun."""

import asyncio
import threading

import pytest

from apprproxy.core.errors import Crowded
from apprproxy.core.one_by_one import OneByOne
from tests.fakes.clock import until


class Work:
    """Goes on until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.kept: list[str] = []
        self._may_end = threading.Event()

    def __call__(self) -> str:
        self.begun += 1
        self._may_end.wait(10)
        return "done"

    def end(self) -> None:
        self._may_end.set()

    async def begins(self) -> None:
        await until(lambda: self.begun == 1)


async def test_what_has_begun_is_done_once_though_whoever_asked_first_has_left() -> None:
    turns, work = OneByOne(60.0, "crowded"), Work()
    first = asyncio.create_task(turns.aside("hub", "key", work, work.kept.append))
    await work.begins()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(turns.aside("hub", "key", work, work.kept.append))
    await asyncio.sleep(0)
    work.end()

    assert ("done", 1, ["done"]) == (await second, work.begun, work.kept)


async def test_what_has_begun_is_kept_though_all_have_left() -> None:
    turns, work = OneByOne(60.0, "crowded"), Work()
    asking = asyncio.create_task(turns.aside("hub", "key", work, work.kept.append))
    await work.begins()
    asking.cancel()
    work.end()
    await until(lambda: work.kept == ["done"])

    assert "again" == await turns.aside("hub", "key", lambda: "again")


async def test_who_waits_for_what_has_begun_is_not_told_to_come_back() -> None:
    turns, work = OneByOne(0.1, "crowded"), Work()
    asking = [asyncio.create_task(turns.aside("hub", "key", work)) for _ in range(3)]
    await work.begins()
    await asyncio.sleep(0.2)
    work.end()

    assert ["done"] * 3 == await asyncio.gather(*asking)


async def test_who_waits_for_other_work_is_told_to_come_back_and_what_nobody_wants_is_not_done() -> None:
    turns, work, other = OneByOne(0.1, "crowded"), Work(), Work()
    asking = asyncio.create_task(turns.aside("hub", "key", work))
    await work.begins()
    with pytest.raises(Crowded, match="crowded"):
        await turns.aside("hub", "other", other)
    work.end()

    assert ("done", 0) == (await asking, other.begun)
    assert "next" == await turns.aside("hub", "other", lambda: "next")


async def test_a_failure_is_that_of_all_who_waited_and_of_nobody_later() -> None:
    turns = OneByOne(60.0, "crowded")

    def fails() -> str:
        raise ValueError("wrong")

    failed = await asyncio.gather(*(turns.aside("hub", "key", fails) for _ in range(2)), return_exceptions=True)

    assert ["wrong", "wrong"] == list(map(str, failed))
    assert "right" == await turns.aside("hub", "key", lambda: "right")


async def test_of_much_that_is_wanted_of_one_upstream_one_is_done_before_what_is_wanted_of_another() -> None:
    turns, work, done = OneByOne(60.0, "crowded"), Work(), list[object]()
    first = asyncio.create_task(turns.aside("hub", "first", work))
    await work.begins()
    many = [asyncio.create_task(turns.aside("hub", key, bytes, lambda _: done.append("hub"))) for key in range(9)]
    await asyncio.sleep(0)
    other = asyncio.create_task(turns.aside("quay", "other", bytes, lambda _: done.append("quay")))
    await asyncio.sleep(0)
    work.end()
    await asyncio.gather(first, other, *many)

    assert "quay" == done[0]
