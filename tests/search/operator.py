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
        self.cache = folder / "cache"

    def configures(self, **upstreams: object) -> None:
        configuration = {"cache": {"directory": str(self.cache)}, "upstreams": upstreams}
        self.path.write_text(yaml.safe_dump(configuration))

    def configures_views(self, **views: object) -> None:
        self.path.write_text(f"{self.path.read_text()}{yaml.safe_dump({'views': views})}")

    async def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, *arguments, environment={"APPRPROXY_CONFIG": str(self.path)})


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)
