"""Starts server processes quickly: everything is imported once, and each server is a fork of a process that has opened
nothing and started no thread. ``python -m tests.model.nursery`` is told configuration files, and says process ids."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    from apprproxy.cli import main as command

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for who is killed
    for line in sys.stdin:
        config = line.strip()
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(f"{config}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(log, number)
        status = 1
        try:
            command(["serve", "--config", config, "--log-format", "json"])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        finally:
            os._exit(status)


class Nursery:
    """Whoever starts a server ends it."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def start(self, config: Path) -> int:
        """The process id of ``apprproxy serve``."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{config}\n")
        self._child.stdin.flush()
        return int(self._child.stdout.readline())


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.model.nursery"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield Nursery(child)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


if __name__ == "__main__":
    main()
