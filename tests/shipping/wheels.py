"""What the image installs, fetched as the developer's machine fetches it, so that its steps need no network."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PATIENCE = 300  # seconds; a moment where pip has them in its cache


def fetch(project: Path, folder: Path) -> None:
    """The run-time requirements, and those of the build, by the hashes of the lock files."""
    lock = (project / "tests" / "requirements.txt").read_text()
    tools = folder / "tools.txt"
    tools.write_text("".join(_pinned(lock, name) for name in sorted(_closure("hatchling"))))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    files = ["-r", str(project / "requirements.txt"), "-r", str(tools)]
    done = subprocess.run([*command, *files, "--dest", str(folder)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"pip could not fetch what the image installs:\n{done.stderr}"


def _closure(name: str) -> set[str]:
    """Names of a distribution and all it needs here."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            needed = [Requirement(text) for text in metadata.requires(name) or []]
            waiting += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def _pinned(lock: str, name: str) -> str:
    """The lock file's lines for one distribution."""
    found = re.search(rf"^{re.escape(name)}==.*\n(?: .*\n)*", lock, re.MULTILINE)
    assert found is not None, f"{name} is not in the lock file"
    return found[0]
