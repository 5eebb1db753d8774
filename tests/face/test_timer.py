"""A timer calls once, unless it is stopped."""

import asyncio

from apprproxy.face.timer import Timer
from tests.fakes.clock import until


async def test_one_that_is_started_anew_calls_no_more_for_the_time_before() -> None:
    called: list[str] = []
    timer = Timer()
    timer.start(0.001, lambda: called.append("before"))
    timer.start(0.02, lambda: called.append("anew"))
    assert timer.runs
    await until(lambda: not timer.runs)

    assert ["anew"] == called


async def test_one_may_be_started_by_what_it_calls() -> None:
    running: list[bool] = []
    timer = Timer()

    def call() -> None:
        running.append(timer.runs)
        if len(running) < 2:
            timer.start(0, call)

    timer.start(0, call)
    await until(lambda: len(running) == 2)

    assert [False, False] == running
    assert not timer.runs


async def test_one_that_is_stopped_calls_nothing() -> None:
    called: list[str] = []
    timer = Timer()
    timer.start(0, lambda: called.append("stopped"))
    timer.stop()
    await asyncio.sleep(0.01)

    assert not timer.runs
    assert [] == called
