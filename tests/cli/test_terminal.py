"""At a terminal one is asked first and shown how far it has come; elsewhere there are plain lines."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apprproxy.cli.progress import BLOBS, BYTES, EVERY, Lines
from apprproxy.cli.shown import size, when
from tests.cli.operator import Operator
from tests.fakes.clock import Clock
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry


def test_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines("verifying", 4096, BYTES, clock)
    for _ in range(3):
        lines(1024)
        clock.advance(EVERY / 2)
    lines(1024)
    clock.advance(EVERY)
    lines(0)

    assert ["verifying: 3.0 KiB of 4.0 KiB", "verifying: 4.0 KiB of 4.0 KiB"] == capsys.readouterr().err.splitlines()


def test_more_may_turn_out_to_be_due(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines("fetching hub/app:1.0", 1, BLOBS, clock)
    lines.expect(40)
    clock.advance(EVERY)
    lines(12)

    assert ["fetching hub/app:1.0: 12 of 40"] == capsys.readouterr().err.splitlines()


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
    operator.begins()
    with terminal() as (ours, theirs):
        os.write(ours, answer)
        ran = await operator.runs("purge", "--all", stdin=theirs)

    assert status == ran.returncode
    assert "Purge everything? [y/N]" in ran.stderr


LONG = {
    "verify": (["verify"], b"verifying"),
    "verify --repair": (["verify", "--repair"], b"fetching again"),
    "pin --fetch": (["pin", "--fetch", "hub/library/app:1.0"], b"fetching hub/library/app:1.0"),
    "purge": (["purge", "--all", "--yes"], b"purging"),
}


@pytest.mark.parametrize(("arguments", "doing"), LONG.values(), ids=LONG)
async def test_at_a_terminal_long_work_shows_how_far_it_is_and_a_script_sees_nothing_of_it(
    arguments: list[str], doing: bytes, registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.add_blob("library/app", b"{}")
    running = await gateways.start({"hub": registry})
    await running.get("/v2/hub/library/app/manifests/1.0")
    await running.get(f"/v2/hub/library/app/blobs/{digest(b'layer')}")
    await running.at_rest()
    await running.close()
    operator.configures({"hub": oci(registry)})
    operator.spoils(digest(b"layer"))
    with terminal() as (ours, theirs):
        ran = await operator.runs(*arguments, stderr=theirs)
        shown = os.read(ours, 65536)

    assert doing in shown
    assert doing.decode() not in ran.stdout


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """What somebody at it sees and types, and what a command is given."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)
