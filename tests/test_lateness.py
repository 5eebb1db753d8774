"""A gateway that is late itself says so, and does not leave it to its upstreams to be blamed."""

import asyncio
import json
import time
from typing import Any

import pytest

from apprproxy import lateness
from apprproxy.lateness import MUCH, SPAN, Lateness
from apprproxy.ops.logs import stamp
from tests.fakes.clock import START, Clock, until
from tests.fakes.fixtures import Logged
from tests.fakes.fixtures import clock as clock
from tests.fakes.fixtures import logged as logged


def lines(logged: Logged) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.text.splitlines()]


def held_up() -> None:
    time.sleep(0.3)


async def test_it_is_told_once_and_that_it_is_over(clock: Clock, logged: Logged) -> None:
    late = Lateness(lambda _: None, clock)
    for seconds in (0.1, MUCH - 0.1, MUCH, 9.0, MUCH - 0.1, MUCH / 2):
        late.judge(seconds, SPAN)
        clock.advance(SPAN)
    going_on = len(lines(logged))
    for _ in range(8):
        late.judge(0.1, SPAN)
        clock.advance(SPAN)
    await late.close()
    begun, over = lines(logged)

    assert 1 == going_on
    assert ("warning", "this gateway is late itself", MUCH) == (begun["level"], begun["event"], begun["seconds"])
    assert stamp(START + SPAN) == begun["since"]
    assert ("info", "this gateway is on time again", 4 * SPAN) == (over["level"], over["event"], over["after"])


async def test_what_comes_and_goes_is_not_told_each_time(clock: Clock, logged: Logged) -> None:
    late = Lateness(lambda _: None, clock)
    for seconds in 3 * (MUCH, 0.0, 0.0, 0.0, 0.0):
        late.judge(seconds, SPAN)
        clock.advance(SPAN)
    await late.close()

    assert ["this gateway is late itself"] * 2 == [line["event"] for line in lines(logged)]


async def test_while_it_lasts_it_is_told_once_a_minute_since_when(clock: Clock, logged: Logged) -> None:
    late = Lateness(lambda _: None, clock)
    for _ in range(13):
        late.judge(MUCH, SPAN)
        clock.advance(SPAN)
    await late.close()

    assert 3 * [("this gateway is late itself", stamp(START - SPAN))] == [
        (line["event"], line["since"]) for line in lines(logged)
    ]


async def test_a_loop_that_is_held_up_is_late(clock: Clock, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lateness, "OFTEN", 0.01)
    monkeypatch.setattr(lateness, "MUCH", 0.2)
    counted: list[float] = []
    late = Lateness(counted.append, clock)
    await asyncio.sleep(0)
    held_up()
    await until(lambda: bool(lines(logged)))
    await late.close()

    assert sum(counted) >= 0.2
    assert ["this gateway is late itself"] == [line["event"] for line in lines(logged)]
