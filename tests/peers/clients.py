"""A genuine client runs in a home of its own: what it knows comes from whom it asked, never from its cache."""

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.peers.tools import tool

PATIENCE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it: `files` are those below its working folder, by name, with their SHA-256."""

    command: str
    status: int
    out: str
    err: str
    files: dict[str, str]

    def ok(self) -> "Ran":
        assert self.status == 0, f"{self.command}: exit status {self.status}\n{self.out}\n{self.err}"
        return self


def run(
    name: str,
    *arguments: str,
    start: Path | None = None,
    settle: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Runs a client in a new home and an empty working folder, or in `start`; before it, `settle` in the same home."""
    with TemporaryDirectory(prefix="client-") as home:
        known = {**_environment(home), **(environment or {})}
        if settle:
            subprocess.run([tool(name), *settle], env=known, check=True, timeout=PATIENCE)
        work = start or Path(home, "work")
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [tool(name), *arguments],
            cwd=work,
            env=known,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ran(" ".join([name, *arguments]), done.returncode, done.stdout, done.stderr, _files(work))


def _environment(home: str) -> dict[str, str]:
    # nothing else: no proxies, credentials or settings of whoever runs the tests
    names = {"XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data", "XDG_RUNTIME_DIR": "run"}
    for folder in ("tmp", names["XDG_RUNTIME_DIR"]):
        Path(home, folder).mkdir(exist_ok=True)
    places = {variable: f"{home}/{folder}" for variable, folder in names.items()}
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "TMPDIR": f"{home}/tmp",
        "DOCKER_CONFIG": f"{home}/docker",
        **places,
    }


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
