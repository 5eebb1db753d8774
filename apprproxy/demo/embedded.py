"""The demo's upstreams as servers on loopback, stopped and started again at the same address."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from aiohttp import web

from apprproxy.demo.app_registry import app_registry
from apprproxy.demo.images import lies, repositories
from apprproxy.demo.packages import packages
from apprproxy.demo.registry import registry

HUB, OLD_QUAY, LIAR = "hub", "old-quay", "liar"
_ATTEMPTS = 50
_PAUSE = 0.1
"""Seconds between attempts to have a port again: a passing connection of another program may be using its number."""


class Server:
    """Listens on a free port, and on that same port ever after. An Application lives once, hence ``make``."""

    def __init__(self, make: Callable[[], web.Application]) -> None:
        self._make = make
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Raises OSError."""
        for attempt in range(_ATTEMPTS):
            runner = web.AppRunner(self._make(), access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True).start()
            except OSError:
                await runner.cleanup()
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                self._runner, self._port = runner, runner.addresses[0][1]
                return

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


class Upstreams:
    """By name; ``stop`` and ``start`` mean all of them."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self.servers = MappingProxyType(dict(servers))

    async def start(self) -> None:
        for server in self.servers.values():
            await server.start()

    async def stop(self) -> None:
        for server in self.servers.values():
            await server.stop()


@asynccontextmanager
async def running(*, honest: bool = False) -> AsyncIterator[Upstreams]:
    """Three upstreams; the mirror has what the registry has, and lies about some of it unless it is ``honest``."""
    images, archives = repositories(), packages()
    false = frozenset[str]() if honest else lies(images)
    upstreams = Upstreams(
        {
            HUB: Server(lambda: registry(images)),
            OLD_QUAY: Server(lambda: app_registry(archives)),
            LIAR: Server(lambda: registry(images, false)),
        }
    )
    try:
        await upstreams.start()
        yield upstreams
    finally:
        await upstreams.stop()
