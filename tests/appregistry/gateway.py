"""The real gateway on loopback, as ``apprproxy serve`` builds it, with a clock that a test advances."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from apprproxy.app import App, build, limits_of
from apprproxy.face.server import Server
from apprproxy.settings.model import Configuration
from tests.appregistry.upstream import Upstream


@dataclass
class Clock:
    """Seconds since the epoch; goes when it is told to."""

    time: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


@dataclass(frozen=True)
class Got:
    """An answer as a client sees it."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cache(self) -> str:
        """What Cache-Status says."""
        return self.headers.get("Cache-Status", "")


class RunningGateway:
    """``close`` ends it early, before another begins on the same cache."""

    def __init__(
        self, app: App, url: str, session: aiohttp.ClientSession, clock: Clock, directory: Path, stack: AsyncExitStack
    ) -> None:
        self.app = app
        self.url = url
        self.clock = clock
        self.directory = directory
        self._session = session
        self.close = stack.aclose

    async def get(
        self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Got:
        """``target`` goes out as it is written."""
        url = URL(f"{self.url}{target}", encoded=True)
        async with self._session.request(
            method, url, headers=headers, data=body or None, allow_redirects=False
        ) as response:
            return Got(response.status, response.headers, await response.read())

    def total(self, metric: str, **labels: str) -> float:
        """The sum over all samples of a metric that have these labels."""
        families = text_string_to_metric_families(self.app.metrics.text().decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(one.value for one in samples if one.name == metric and labels.items() <= one.labels.items())

    def held(self) -> list[Path]:
        """Every file that is visible as a blob."""
        return sorted((self.directory / "blobs" / "sha256").iterdir())


def keys_of(upstream: Upstream, **keys: Any) -> dict[str, Any]:
    """An upstream's section of the configuration."""
    return {"kind": "appr", "url": upstream.url, **keys}


@asynccontextmanager
async def running_gateway(
    directory: Path, upstreams: Mapping[str, Mapping[str, Any]], clock: Clock | None = None, **keys: Any
) -> AsyncIterator[RunningGateway]:
    """``upstreams`` and ``keys`` as in the configuration file; the view ``default`` has all upstreams."""
    clock = clock or Clock()
    document = {
        "cache": {"directory": str(directory)},
        "upstreams": upstreams,
        "views": {"default": list(upstreams)},
        **keys,
    }
    async with AsyncExitStack() as stack:
        app = build(Configuration.model_validate(document), now=clock)
        stack.push_async_callback(app.close)
        url = await stack.enter_async_context(_served(app))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield RunningGateway(app, url, session, clock, directory, stack)


@asynccontextmanager
async def _served(app: App) -> AsyncIterator[str]:
    server = Server(app.door, limits_of(app.settings), app.journal)
    socket = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{socket.sockets[0].getsockname()[1]}"
    finally:
        socket.close()
        server.pre_shutdown()
        await server.shutdown(1.0)
