"""Connections that lie idle are bounded, to however many hosts they lead."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from apprproxy.upstream.connector import Connector
from tests.fakes.clock import until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMIT = 2


class Hosts:
    """Any number of them, that leave it to whoever connects to close."""

    def __init__(self) -> None:
        self.connected = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            writer.close()
        finally:
            self.connected -= 1


async def test_who_leads_to_ever_new_ports_has_no_more_connections_lie_idle_than_may_be_in_use() -> None:
    hosts = Hosts()
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(await asyncio.start_server(hosts.serve, "127.0.0.1")) for _ in range(5)
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=Connector(limit=LIMIT)))
        for port in (*ports, ports[0]):
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                assert "ok" == await answer.text()

        await until(lambda: hosts.connected <= LIMIT)
        assert LIMIT == hosts.connected
