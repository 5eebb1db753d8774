"""Where the genuine programs are; where one is missing its tests say how to get it, and fail if CI=true."""

import os
import shutil
from pathlib import Path

import pytest


def kept() -> Path:
    """The folder that install.sh fills."""
    if chosen := os.environ.get("APPRPROXY_PEERS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "apprproxy" / "peers"


def tool(name: str) -> str:
    binary = kept() / "bin" / name
    found = str(binary) if os.access(binary, os.X_OK) else shutil.which(name)
    if found:
        return found
    missing = f"{name} is not installed: `make peers` gets it"
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)
