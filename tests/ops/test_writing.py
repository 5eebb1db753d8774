"""Whoever reads the log slowly, or no more, keeps nobody waiting; what was lost is counted."""

import fcntl
import json
import logging
import os
import sys
import termios
from collections.abc import Iterator

import pytest

from apprproxy.ops.writing import Writer
from tests.fakes.clock import until

BOUND = 100_000
PIPE = 4096


class Pipe:
    """``read`` is all that has come so far, without waiting for more."""

    def __init__(self) -> None:
        self._out, self.fd = os.pipe()
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE)
        os.set_blocking(self._out, False)
        self.text = b""

    def read(self) -> bytes:
        try:
            while piece := os.read(self._out, 65536):
                self.text += piece
        except BlockingIOError:
            pass
        return self.text

    @property
    def waiting(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._out, termios.FIONREAD, bytes(4)), sys.byteorder)

    def close_reader(self) -> None:
        os.close(self._out)
        self._out, unused = os.pipe()
        os.close(unused)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._out)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def writes(writer: Writer, numbers: range) -> None:
    for number in numbers:
        writer.emit(logging.makeLogRecord({"msg": json.dumps({"number": number, "of": "x" * PIPE})}))


def numbers(text: bytes) -> list[int]:
    return [json.loads(one)["number"] for one in text.splitlines()]


async def test_every_line_comes_in_its_order(pipe: Pipe) -> None:
    writer = Writer(pipe.fd)
    writes(writer, range(3))
    await until(lambda: 3 == pipe.read().count(b"\n"))
    writer.close()

    assert [0, 1, 2] == numbers(pipe.read())


async def test_who_reads_late_has_whole_lines_and_is_told_how_many_were_lost(
    pipe: Pipe, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(pipe.fd, BOUND)
    writes(writer, range(1000))
    await until(lambda: 1000 == pipe.read().count(b"\n") + sum(one.__dict__["lines"] for one in caplog.records))
    writer.close()
    [told] = caplog.records
    there = numbers(pipe.read())

    assert list(range(len(there))) == there
    assert BOUND < len(pipe.text) + 2 * PIPE
    assert (1000 - len(there), "log lines were lost") == (told.__dict__["lines"], told.getMessage())


async def test_a_log_whose_reader_has_gone_is_written_again_once_there_is_one(
    pipe: Pipe, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(pipe.fd)
    writes(writer, range(8))
    await until(lambda: pipe.waiting == PIPE)
    pipe.close_reader()
    await until(lambda: writer._lost == 8)
    again = Pipe()
    os.dup2(again.fd, pipe.fd)
    writes(writer, range(16, 17))
    await until(lambda: b'"number": 16,' in again.read() and again.text.endswith(b"\n") and bool(caplog.records))
    writer.close()
    torn, *lines = again.read().split(b"\n", 1)
    again.close()

    assert b"" == torn, "the rest of one that was torn is no beginning of another"
    assert 16 == numbers(lines[0])[-1]
