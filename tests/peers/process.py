"""A program as a child process: started, awaited, ended by its own process id, its output kept for whoever asks why."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Self

START = 20.0  # seconds; a cold Python on a busy machine of two cores takes a few
END = 15.0


_PORTS = range(20_000, 32_000)
"""Below those that the system gives to whoever asks for any: nobody's connection takes one of them meanwhile."""
_WORKERS = 8
_SHARE = len(_PORTS) // _WORKERS


def _ours() -> Iterator[int]:
    """One after the other, those of this worker of the tests: two that look at once must not find the same one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    mine = _PORTS[worker * _SHARE : (worker + 1) * _SHARE]
    begin = os.getpid() % len(mine)
    return cycle([*mine[begin:], *mine[:begin]])


_port = _ours()


def free_port() -> int:
    """For a program that cannot be told to choose one itself."""
    while True:
        with closing(socket.socket()) as taken, suppress(OSError):
            taken.bind(("127.0.0.1", port := next(_port)))
            return port


def get(host: str, path: str) -> tuple[int, bytes]:
    """Straight to the host, whatever proxies the environment names; (0, b"") if nobody answers."""
    with closing(HTTPConnection(host, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""


class Process:
    """Listens on `port` of the loopback interface; it is up when a GET of `ready` is answered with 200."""

    def __init__(
        self, command: Sequence[str], folder: Path, port: int, ready: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = Path(command[0]).name
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self.folder = folder
        self._command = [*command]
        self._ready = ready
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})}
        self._output = folder / "output.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} does not run"
        return self._child.pid

    def start(self) -> None:
        assert self._child is None, f"{self.name} runs already"
        with self._output.open("ab") as log:
            self._child = subprocess.Popen(
                self._command, env=self._environment, cwd=self._cwd(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait(self._child)
        except BaseException:
            self.stop()
            raise

    def _cwd(self) -> Path:
        return self.folder

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START
        while get(self.host, self._ready)[0] != 200:
            if child.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"{self.name} did not start (exit status {child.returncode}):\n{self.output}")
            time.sleep(0.03)

    def stop(self) -> int | None:
        """Ends it as an operator would, and returns its exit status; None if it did not run."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.send_signal(signal.SIGTERM)
        try:
            return child.wait(END)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
