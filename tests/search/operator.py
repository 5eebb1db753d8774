"""Whoever runs the commands: a configuration in a folder of its own, and the genuine program."""

import asyncio
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.fakes.command import run


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
        return await asyncio.to_thread(run, *arguments, environment={"APPRPROXY_CONFIG": str(self.path)})


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)
