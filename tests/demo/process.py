"""The demo as its users run it: a process, seen through what it prints and its exit status."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY = "Ctrl-C ends it"
PATIENCE = 30.0  # seconds; a cold Python on a busy machine of two cores takes a few


class Demo:
    """`folder` is where its temporary folder is made; what it prints goes to files there."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._out, self._err = folder / "out", folder / "err"
        inherited = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(self.temporary)}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "apprproxy", "demo", *arguments],
                cwd=ROOT,
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def printed(self, text: str) -> str:
        """Waits until it has printed this, and returns all it has printed."""
        give_up = time.monotonic() + PATIENCE
        while text not in self.out:
            if self.child.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"not printed: {text!r}\n{self.out}\n{self.err}")
            time.sleep(0.02)
        return self.out

    def ended(self) -> int:
        return self.child.wait(PATIENCE)

    @property
    def gateway(self) -> str:
        """Its URL, as printed."""
        return self.printed("A gateway at ").partition("A gateway at ")[2].partition(",")[0]


@contextmanager
def started(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Demo]:
    """Killed at the end, if it still runs then."""
    demo = Demo(folder, *arguments, environment=environment)
    try:
        yield demo
    finally:
        demo.child.kill()
        demo.child.wait()
