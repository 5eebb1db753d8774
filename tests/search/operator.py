"""Whoever runs the commands: a configuration in a folder of its own, and the genuine program."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


class Operator:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "apprproxy.yaml"

    def configures(self, **upstreams: object) -> None:
        directory = str(self.folder / "cache")
        self.path.write_text(yaml.safe_dump({"cache": {"directory": directory}, "upstreams": upstreams}))

    def configures_views(self, **views: object) -> None:
        self.path.write_text(f"{self.path.read_text()}{yaml.safe_dump({'views': views})}")

    async def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("APPRPROXY_")}
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "apprproxy", *arguments],
            cwd=Path(__file__).parents[2],
            env=own | {"APPRPROXY_CONFIG": str(self.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)
