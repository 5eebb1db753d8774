"""Connections that lie idle are bounded, to however many hosts they lead."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

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


@pytest.mark.parametrize("came", [600_000, 599_999])
async def test_a_connection_that_lies_idle_is_not_waited_for(came: int) -> None:
    """A body whose end came while its reader was behind: reading goes on once that has caught up. Where it has not
    come it is waited for."""
    body = bytes(600_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        await reader.read()
        writer.close()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1"))
        waits = aiohttp.ClientTimeout(sock_read=60)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=Connector(), timeout=waits))
        answer = await session.get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert answer.connection is not None
        protocol = answer.connection.protocol
        assert protocol is not None
        assert protocol._read_timeout_handle is not None
        protocol.data_received(body[:came])  # all that one read brought

        assert body[:came] == await answer.content.readexactly(came)
        waited_for = protocol._read_timeout_handle is not None
        if came < len(body):
            protocol.data_received(body[came:])
            await answer.read()

        assert (came < len(body)) == waited_for
