"""At a terminal one is asked first and shown how far it has come; elsewhere there are plain lines."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from apprproxy.cli.progress import EVERY, Lines
from apprproxy.cli.shown import size, when
from tests.cli.operator import Operator
from tests.fakes.clock import Clock


def test_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines("verifying", 4096, clock)
    for _ in range(3):
        lines(1024)
        clock.advance(EVERY / 2)
    lines(1024)
    clock.advance(EVERY)
    lines(0)

    assert ["verifying: 3.0 KiB of 4.0 KiB", "verifying: 4.0 KiB of 4.0 KiB"] == capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**4, "5.0 TiB"), (1e18, "909494.7 TiB")],
)
def test_sizes_are_readable(count: float, text: str) -> None:
    assert text == size(count)


def test_times_are_of_one_zone() -> None:
    assert "2027-01-15 08:00:00Z" == when(1_800_000_000)


@pytest.mark.parametrize(("answer", "status"), [(b"n\n", 1), (b"y\n", 0)])
async def test_at_a_terminal_one_is_asked(answer: bytes, status: int, operator: Operator) -> None:
    operator.configures({})
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "apprproxy", "cache", "purge", "--config", str(operator.path), "--all"],
            cwd=Path(__file__).parents[2],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert status == ran.returncode
    assert "Purge everything? [y/N]" in ran.stderr
