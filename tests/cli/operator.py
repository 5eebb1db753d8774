"""Somebody who types commands, about the cache of a configuration."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from apprproxy.store.directory.place import prepare


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
        own = {name: value for name, value in os.environ.items() if not name.startswith("APPRPROXY_")}
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "apprproxy", "cache", arguments[0], "--config", str(self.path), *arguments[1:]],
            cwd=Path(__file__).parents[2],
            env=own,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=60,
        )

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
