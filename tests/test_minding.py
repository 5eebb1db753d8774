"""What a gateway looks after while it serves, and says of it."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from apprproxy import minding
from apprproxy.app import Lifetime
from apprproxy.minding import DAY, OFTEN, Minding, begun
from tests.fakes.clock import START, Clock, until
from tests.fakes.command import ROOT
from tests.fakes.fixtures import Logged
from tests.fakes.fixtures import clock as clock
from tests.fakes.fixtures import logged as logged


def lines(logged: Logged) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.text.splitlines() if '"event": "' in line]


def quiet() -> None:
    """There is nothing to be reminded of."""


@pytest.mark.parametrize(
    ("begins", "left", "told"),
    [
        (-80 * DAY, 10 * DAY, "the certificate of server.tls expires soon"),
        (-400 * DAY, 15 * DAY, None),
        (-0.5 * DAY, 0.5 * DAY, None),
        (-0.9 * DAY, 0.1 * DAY, "the certificate of server.tls expires soon"),
        (-80 * DAY, -DAY, "the certificate of server.tls has expired"),
    ],
    ids=["soon", "later", "short-lived", "short-lived and soon", "over"],
)
async def test_the_end_of_our_own_certificate_is_told_at_the_start_and_daily(
    clock: Clock, logged: Logged, begins: float, left: float, told: str | None
) -> None:
    minding = Minding(None, Lifetime(START + begins, START + left), quiet, clock)
    for _ in range(3):
        minding.look()
    once = [line["event"] for line in lines(logged)]
    clock.advance(DAY)
    minding.look()
    await minding.close()

    assert ([told] if told else []) == once
    assert told is None or 2 == len(lines(logged))


async def test_a_gateway_gives_back_memory_that_is_free(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    monkeypatch.setattr(minding, "give_back", given.set)
    running = Minding(None, None, quiet, clock)
    await until(given.is_set)
    await running.close()


async def test_a_gateway_that_lives_says_so_every_minute(tmp_path: Path, clock: Clock, logged: Logged) -> None:
    run = begun(tmp_path, 1000, clock)
    minding = Minding(run, None, quiet, clock)
    clock.advance(OFTEN)
    minding.look()
    (file,) = (tmp_path / "runs").iterdir()
    seen = file.stat().st_mtime
    await minding.close()

    assert START + OFTEN == seen
    assert [] == list((tmp_path / "runs").iterdir())
    assert [] == lines(logged)


def test_one_that_stopped_on_a_disk_that_only_read_is_not_said_to_have_been_killed(
    tmp_path: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    run = begun(tmp_path, 1000)
    assert run is not None
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        run.close()
    again = begun(tmp_path, 1000)
    assert again is not None
    again.close()
    (line,) = lines(logged)

    assert "or could not write that it stopped" in line["event"]
    assert "`stopped`" in line["hint"]


async def test_a_disk_that_hangs_is_told_and_that_it_answers_again(
    tmp_path: Path, clock: Clock, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minding, "HANGS", 0.05)
    run, thaws = begun(tmp_path, 1000, clock), threading.Event()
    assert run is not None
    monkeypatch.setattr(os, "utime", lambda *_, **__: thaws.wait())
    looking = Minding(run, None, quiet, clock)
    await until(lambda: bool(lines(logged)))
    thaws.set()
    await until(lambda: len(lines(logged)) == 2)
    await looking.close()

    assert [("error", "the cache's disk does not answer"), ("info", "the cache's disk answers again")] == [
        (line["level"], line["event"]) for line in lines(logged)
    ]


@pytest.mark.parametrize(("later", "gone_by"), [(20.0, "08:01:20"), (3600.0, "08:02:00")], ids=["soon", "later"])
async def test_one_that_was_killed_was_so_between_two_signs_that_it_lives(
    tmp_path: Path, clock: Clock, logged: Logged, later: float, gone_by: str
) -> None:
    run = begun(tmp_path, 1000, clock)
    assert run is not None
    clock.advance(OFTEN)
    run.sign()
    os.close(run._fd)  # as the system does for a process that is killed
    clock.advance(later)
    next_one = begun(tmp_path, 1000, clock)
    (told,) = lines(logged)
    assert next_one is not None
    next_one.close()

    assert ["08:00:00", "08:01:00", gone_by] == [told[key][11:19] for key in ("began", "last_seen", "gone_by")]
    assert "OOM killer" in told["hint"]


async def test_what_goes_wrong_once_is_looked_after_again(
    clock: Clock, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minding, "OFTEN", 0.0)
    looked: list[float] = []

    def fails(_: Minding) -> None:
        looked.append(clock())
        raise ValueError("for once")

    monkeypatch.setattr(Minding, "look", fails)
    mind = Minding(None, None, quiet, clock)
    await until(lambda: len(looked) > 1)
    await mind.close()

    assert "for once" in logged.text


async def test_what_the_log_owes_is_told_as_often(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minding, "OFTEN", 0.0)
    reminded: list[float] = []
    mind = Minding(None, None, lambda: reminded.append(clock()), clock)

    await until(lambda: len(reminded) > 1)
    await mind.close()


def test_two_gateways_with_different_caps_on_one_cache_are_told_of(
    tmp_path: Path, clock: Clock, logged: Logged
) -> None:
    first = begun(tmp_path, 20 * 1024**3, clock)
    second = begun(tmp_path, 64 * 1024**2, clock)
    (told,) = lines(logged)
    for run in (first, second):
        assert run is not None
        run.close()

    assert ("64MiB", "20GiB") == (told["ours"], told["other"])


def test_memory_that_is_free_is_given_back() -> None:
    """As the C library has it, which keeps all that lies below something that is in use."""
    program = """
import ctypes
from pathlib import Path
from apprproxy.memory import give_back

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(60_000) for _ in range(3000)]
full, last = resident(), blocks.pop()
del blocks
kept = resident()
give_back()
print(hasattr(ctypes.CDLL(None), "malloc_trim"), kept > full / 2, resident() < full / 2)
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert said.split() in (["True", "True", "True"], ["False", "True", "False"], ["False", "False", "True"])
