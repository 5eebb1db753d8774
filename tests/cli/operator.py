"""Somebody who types commands, about the cache of a configuration."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from apprproxy.store.directory.place import prepare
from tests.fakes.command import run


class Operator:
    """``cache`` is the directory that ``Gateways`` and ``tests.test_serving.gateway`` use in the same folder."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.path = folder / "operator.yaml"

    def begins(self) -> None:
        """A cache with nothing in it."""
        prepare(self.cache)

    def configures(self, upstreams: object, max_size: str = "20GiB", **more: object) -> None:
        cache = {"directory": str(self.cache), "max_size": max_size}
        self.path.write_text(yaml.safe_dump({"cache": cache, "upstreams": upstreams, **more}))

    async def runs(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """``apprproxy cache …``; with nobody at a terminal unless one is given."""
        words = ("cache", arguments[0], "--config", str(self.path), *arguments[1:])
        return await asyncio.to_thread(run, *words, stdin=stdin, stderr=stderr)

    async def reads(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command that succeeds says with --json."""
        ran = await self.runs(*arguments, "--json")
        assert 0 == ran.returncode, ran.stderr + ran.stdout
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def file(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.cache / "blobs" / algorithm / hexadecimal

    def spoils(self, digest: str, content: bytes = b"spoiled") -> None:
        path = self.file(digest)
        path.chmod(0o644)
        path.write_bytes(content)
