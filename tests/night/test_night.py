"""Of a day with every fault in it the log tells what happened, to whom and since when, and is not drowned by it."""

import asyncio
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.night.day import Lived, live, world

HOUR = 1.5  # seconds


Day = tuple[list[Lived], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return asyncio.run(_lived(tmp_path_factory.mktemp("night")))


async def _lived(folder: Path) -> Day:
    async with world(folder) as whole:
        lived = await live(whole, HOUR)
    return lived, whole.gateway.log


def told(log: list[dict[str, Any]], hour: Lived) -> list[dict[str, Any]]:
    """The lines of that hour, and a little later."""
    times = [(datetime.fromisoformat(line["timestamp"]).timestamp(), line) for line in log]
    return [line for at, line in times if hour.begin - 0.1 <= at <= hour.end + 1.0]


def has(line: dict[str, Any], words: dict[str, str]) -> bool:
    return all(key in line and word in str(line[key]) for key, word in words.items())


def test_every_fault_is_told_with_who_it_was(day: Day) -> None:
    lived, log = day
    missing = [
        (hour.hour.what, words)
        for hour in lived
        for words in hour.hour.told
        if not any(has(line, words) for line in told(log, hour))
    ]

    assert [] == missing


def test_no_fault_of_anybody_is_told_as_one_of_ours(day: Day) -> None:
    _, log = day

    assert not [
        line for line in log if "defect" in str(line) or "Traceback" in str(line) or line["level"] == "critical"
    ]


def test_what_is_no_request_is_a_few_lines_an_hour(day: Day) -> None:
    lived, log = day
    others = Counter(hour.hour.what for hour in lived for line in told(log, hour) if line["event"] != "request")

    assert {what: count for what, count in others.items() if count > 30} == {}
