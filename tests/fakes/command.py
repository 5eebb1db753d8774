"""``apprproxy …`` as an operator runs it."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import orjson

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds
_ONE_AT_A_TIME = threading.Lock()


def not_ours() -> dict[str, str]:
    """Variables that are set here, but those of the program itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("APPRPROXY_")}


def run(
    *words: str,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run``, at a tenth of its price: see ``tests.fakes.forked``. `stdin` may be a descriptor, `stderr`
    one, or ``STDOUT``. Of the variables that are set here it is given what is ``not_ours``."""
    request = orjson.dumps({"words": words, "cwd": str(cwd), "env": not_ours() | dict(environment or {})})
    with TemporaryFile() as nothing, TemporaryFile() as out, TemporaryFile() as err:
        streams = [
            nothing.fileno() if stdin == subprocess.DEVNULL else stdin,
            out.fileno(),
            {subprocess.PIPE: err, subprocess.STDOUT: out}[stderr].fileno() if stderr < 0 else stderr,
        ]

        def read(file: IO[bytes]) -> str:
            file.seek(0)
            return file.read().decode()

        status = _ended(request, streams)
        if status is None:
            raise subprocess.TimeoutExpired(words, PATIENCE, read(out), read(err))
        return subprocess.CompletedProcess(words, status, read(out), read(err))


def _ended(request: bytes, streams: list[int]) -> int | None:
    """Its exit status, or `None` if it had to be killed."""
    here, there = socket.socketpair()
    with here:
        with there, _ONE_AT_A_TIME:
            socket.send_fds(_starter(), [request], [*streams, there.fileno()])
        here.settimeout(PATIENCE)
        with here.makefile("rb") as told:
            pid = int(told.readline())
            try:
                return int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                return None


@cache
def _starter() -> socket.socket:
    """One for each worker, which ends with it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        command = [sys.executable, "-m", "tests.fakes.forked", str(there.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(here.close)
    return here
