"""The real gateway in this process, on a port of loopback, with a clock that is given."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from apprproxy.app import App, build, limits_of
from apprproxy.face.server import Server
from apprproxy.settings import Settings
from tests.fakes.clock import Clock, until
from tests.fakes.listening import served
from tests.fakes.registry import Registry


@dataclass(frozen=True, slots=True)
class Got:
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Of the first OCI error."""
        return str(orjson.loads(self.body)["errors"][0]["code"])

    @property
    def message(self) -> str:
        return str(orjson.loads(self.body)["errors"][0]["message"])

    @property
    def cache(self) -> str:
        return self.headers["Cache-Status"].removeprefix("apprproxy; ")


@dataclass(frozen=True, slots=True)
class Running:
    """``cache`` is its directory. ``close`` ends it early, before another begins on the same cache."""

    url: str
    app: App
    cache: Path
    session: aiohttp.ClientSession
    stack: AsyncExitStack

    async def ask(self, method: str, path: str, **headers: str) -> Got:
        """``path`` goes out as it is; header names with underscores for hyphens."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, headers=fields, allow_redirects=False) as response:
            return Got(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **headers: str) -> Got:
        return await self.ask("GET", path, **headers)

    async def head(self, path: str, **headers: str) -> Got:
        return await self.ask("HEAD", path, **headers)

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all samples of the metric that have these labels."""
        families = text_string_to_metric_families(self.app.metrics.text().decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    @property
    def blobs(self) -> list[str]:
        """The digests of all that is held."""
        return sorted(f"{path.parent.name}:{path.name}" for path in (self.cache / "blobs").glob("sha*/*"))

    @property
    def ingests(self) -> list[Path]:
        """What is on its way in."""
        return list((self.cache / "ingest").iterdir())

    @property
    def open_files(self) -> list[str]:
        """Blobs and partials of which a descriptor is open; what was removed says so."""
        paths = []
        for fd in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # that of the list itself
                paths.append(os.readlink(f"/proc/self/fd/{fd}"))
        return [path for path in paths if path.startswith((f"{self.cache}/blobs/", f"{self.cache}/ingest/"))]

    def arrived(self) -> int:
        """Bytes in growing files."""
        total = 0
        for path in self.ingests:
            with suppress(FileNotFoundError):  # committed, or thrown away meanwhile
                total += path.stat().st_size if path.suffix == ".part" else 0
        return total

    async def at_rest(self) -> None:
        """Until no transfer is under way: a client waits for the digest, not for the disk."""
        await until(lambda: self.metric("apprproxy_flights") == 0)

    async def close(self) -> None:
        await self.stack.aclose()


class Gateways:
    """Starts gateways, one after the other or side by side."""

    def __init__(self, folder: Path, clock: Clock, stack: AsyncExitStack) -> None:
        self.clock = clock
        self._folder = folder
        self._stack = stack

    async def start(
        self,
        upstreams: Mapping[str, Registry | Mapping[str, Any]],
        cache: str = "cache",
        *,
        max_size: str = "20GiB",
        **more: Any,
    ) -> Running:
        """``more`` are further sections of the configuration; gateways of one ``cache`` share its content."""
        directory = self._folder / cache
        settings = Settings.model_validate(
            {
                "cache": {"directory": directory, "max_size": max_size},
                "upstreams": {name: _upstream(upstream) for name, upstream in upstreams.items()},
                **more,
            }
        )
        stack = AsyncExitStack()
        self._stack.push_async_callback(stack.aclose)
        app = build(settings, now=self.clock)
        stack.push_async_callback(app.close)
        url = await stack.enter_async_context(served(Server(app.door, limits_of(app.settings), app.journal)))
        session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=10))
        await stack.enter_async_context(session)
        return Running(url, app, directory, session, stack)


def _upstream(upstream: Registry | Mapping[str, Any]) -> dict[str, Any]:
    return oci(upstream) if isinstance(upstream, Registry) else {"kind": "oci", **upstream}


def oci(registry: Registry, **keys: Any) -> dict[str, Any]:
    """An upstream's section of the configuration."""
    return {"kind": "oci", "url": registry.url, **keys}
