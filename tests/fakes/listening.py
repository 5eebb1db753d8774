"""Servers on loopback, each on a port of its own, that end with the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from apprproxy.face.server import Server

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The URL of an HTTP server; handlers that still wait are cancelled at the end."""
    server = web.Server(handler, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await break_off(server)
        await runner.cleanup()


@asynccontextmanager
async def served(server: Server, factory: Callable[[], asyncio.Protocol] | None = None) -> AsyncIterator[str]:
    """The URL of one with our own connections, which ``factory`` may begin."""
    port = await asyncio.get_running_loop().create_server(factory or server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port.sockets[0].getsockname()[1]}"
    finally:
        port.close()
        await break_off(server)
        await server.shutdown(0.05)
        await port.wait_closed()


async def break_off(server: web.Server) -> None:
    """End every connection at once: one that is closed gently waits for a peer that may have stopped reading."""
    for connection in server.connections:
        if isinstance(connection.transport, asyncio.WriteTransport):
            connection.transport.abort()
    await asyncio.sleep(0)


async def counts(request: web.BaseRequest) -> web.StreamResponse:
    """A handler that reads a body as a push is read, and answers with its length in nine characters."""
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
    return web.Response(text=f"{size:>9}")


@asynccontextmanager
async def dead_end() -> AsyncIterator[str]:
    """A URL where nobody listens, and nobody else will meanwhile: the port is bound."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, start_serving=False)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
