"""The table says what the gateway did, not what it ought to have done."""

import io
import socket
from contextlib import closing
from dataclasses import dataclass

import pytest
from rich.console import Console

from apprproxy.demo.run import demo


@dataclass(frozen=True, slots=True)
class Shown:
    status: int
    text: str

    def rows(self, upstream: str) -> list[list[str]]:
        """Without the title: verified, first, again, stopped."""
        lines = [line.split() for line in self.text.splitlines() if line.startswith(f"{upstream} ")]
        return [[" ".join(words[-6:-3]), *words[-3:]] for words in lines]


async def shown(*, honest: bool, width: int = 80) -> Shown:
    out = io.StringIO()
    status = await demo(Console(file=out, width=width), once=True, honest=honest)
    return Shown(status, out.getvalue())


async def test_a_lying_mirror_is_refused_and_named() -> None:
    lying = await shown(honest=False)

    assert lying.status == 0
    assert [["2 of 3", "refused", "-", "-"], ["1 of 2", "refused", "-", "-"], ["0 of 1", "refused", "-", "-"]] == (
        lying.rows("liar")
    )
    assert "liar 3" in lying.text
    assert lying.text.count("liar: sent bytes with digest") == 3


async def test_a_mirror_that_does_not_lie_changes_the_table_and_the_verdict() -> None:
    lying, honest = await shown(honest=False), await shown(honest=True)

    assert honest.status == 1
    assert [["3 of 3", "fetched", "-", "-"], ["4 of 4", "fetched", "-", "-"], ["7 of 7", "fetched", "-", "-"]] == (
        honest.rows("liar")
    )
    assert "liar 0" in honest.text
    assert "sent bytes with digest" not in honest.text
    assert "Everything is as it should be." not in honest.text
    assert "liar, Helm chart charts/other:0.1.0: nothing was refused" in honest.text
    assert lying.rows("hub") == honest.rows("hub")
    assert lying.rows("old-quay") == honest.rows("old-quay")


async def test_what_was_pulled_comes_from_the_cache_with_the_upstreams_stopped() -> None:
    lying = await shown(honest=False)

    rows = lying.rows("hub") + lying.rows("old-quay")

    assert len(rows) == 6
    assert {("fetched", "cache", "cache")} == {tuple(row[1:]) for row in rows}
    assert any(line.startswith("stopped") and " 0 bytes" in line for line in lying.text.splitlines())


@pytest.mark.parametrize("width", [80, 120])
async def test_no_line_of_it_is_cut_or_wrapped(width: int) -> None:
    narrow, wide = await shown(honest=False, width=width), await shown(honest=False, width=200)

    assert "…" not in narrow.text
    assert len(wide.text.splitlines()) == len(narrow.text.splitlines())


async def test_a_port_that_is_taken_just_before_it_is_used_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two demos may begin at the same moment."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        monkeypatch.setattr("apprproxy.demo.gateway.free_port", lambda: other.getsockname()[1])
        slower = await shown(honest=False)

    assert 0 == slower.status
