"""`apprproxy demo` for a stranger: it ends when told to, leaves nothing, and gives way to who has its port."""

import os
import pty
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.demo.process import READY, ROOT, started
from tests.peers.process import get


def test_once_prints_the_table_and_ends(tmp_path: Path) -> None:
    with started(tmp_path, "--once") as demo:
        status = demo.ended()

        assert status == 0
        assert "Everything is as it should be." in demo.out
        assert READY not in demo.out
        assert demo.err == ""
        assert not list(demo.temporary.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_it_serves_until_told_to_stop_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        demo.printed(READY)
        status, body = get(demo.gateway.removeprefix("http://"), "/v2/hub/charts/demo/tags/list")
        demo.child.send_signal(number)

        assert status == 200
        assert b"0.1.0" in body
        assert demo.ended() == 0
        assert demo.err == ""
        assert not list(demo.temporary.iterdir())


def test_ctrl_c_in_the_middle_ends_it_as_well(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        demo.printed("A gateway at ")
        demo.child.send_signal(signal.SIGINT)

        assert demo.ended() == 0
        assert demo.err == ""
        assert not list(demo.temporary.iterdir())


def test_its_log_is_where_it_says_and_does_not_spoil_the_table(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        log = Path(demo.printed(READY).partition("tail -f ")[2].partition("\n")[0])

        assert "wrong bytes refused" in log.read_text()
        assert "wrong bytes refused" not in demo.out
        assert demo.err == ""


def test_a_port_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # then another program has it, which is as good
            other.bind(("127.0.0.1", 8080))
            other.listen()
        with started(tmp_path, "--once") as demo:
            assert demo.ended() == 0
            assert not demo.gateway.endswith(":8080")
            assert "Port 8080 is taken" in demo.out


def test_a_proxy_in_the_environment_is_not_asked_for_loopback(tmp_path: Path) -> None:
    nobody = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    with started(tmp_path, environment=nobody) as demo:
        out = demo.printed(READY)

        assert "Everything is as it should be." in out
        assert "export no_proxy=127.0.0.1" in out


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=str)
def test_a_terminal_gets_colours_unless_it_wants_none(
    environment: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    inherited = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "apprproxy", "demo", "--once"],
        cwd=ROOT,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.STDOUT,
    )
    os.close(theirs)
    printed = _all_of(ours)

    assert child.wait() == 0
    assert b"Everything is as it should be." in printed
    assert (b"\x1b" in printed) is coloured


def _all_of(terminal: int) -> bytes:
    read = b""
    with suppress(OSError), open(terminal, "rb", buffering=0) as reader:  # EIO is how a terminal says its end
        while piece := reader.read(4096):
            read += piece
    return read
