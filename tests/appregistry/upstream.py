"""A Registry on loopback: counts what it is asked, and answers otherwise where a test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from tests.appregistry.registry import Answer, Registry
from tests.fakes.clock import Gate

Twist = Callable[[str], Answer | None]
"""Given the request target: another answer than the registry's, or None for the registry's own."""


class Upstream:
    """``twist`` may replace answers; while ``silent`` requests are never answered, and where there is a ``gate``
    they wait before it. ``asked``, ``headers`` and ``bodies`` have every request."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.twist: Twist = lambda _: None
        self.silent = False
        self.gate: Gate | None = None
        self.asked: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.port = 0
        self._server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._socket: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, part: str = "") -> int:
        """How many requests had this in their target."""
        return sum(part in target for target in self.asked)

    async def start(self) -> None:
        """On the same port again after ``stop``."""
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_server(self._server, "127.0.0.1", self.port)
        self.port = self._socket.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Connections are refused from now on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._server.pre_shutdown()
        await self._server.shutdown(0.1)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        self.asked.append(target)
        self.headers.append(request.headers)
        self.bodies.append(await request.read())
        if self.silent:
            await asyncio.Event().wait()
        if self.gate is not None:
            await self.gate()
        answer = self.twist(target) or self.registry.answer(request.method, target)
        response = web.StreamResponse(
            status=answer.status, headers={**answer.headers, "Content-Type": answer.content_type}
        )
        response.content_length = len(answer.body) if answer.announced is None else answer.announced
        await response.prepare(request)
        if request.method != "HEAD":
            for at in range(0, len(answer.body), 1 << 20):
                await response.write(answer.body[at : at + (1 << 20)])
        if response.content_length == len(answer.body):
            await response.write_eof()
        else:
            response.force_close()
            if request.transport is not None:
                request.transport.close()
        return response


@asynccontextmanager
async def running(registry: Registry | None = None) -> AsyncIterator[Upstream]:
    upstream = Upstream(registry if registry is not None else Registry())
    await upstream.start()
    try:
        yield upstream
    finally:
        await upstream.stop()
