"""A client's body in tiny chunks costs that client its time; it comes whole all the same, and everybody else goes on
meanwhile."""

import asyncio

import pytest
from aiohttp import web

from apprproxy.core.framing import AT_ONCE, LONGEST, RATE
from apprproxy.core.model import KIB
from apprproxy.face import left
from apprproxy.face.server import Connection, Limits, Server
from tests.fakes.clock import PATIENCE, until
from tests.fakes.listening import counts, served
from tests.fakes.raw import Wire, wire

CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ONE_READ = 43_000
"""Chunks of a byte, which are a quarter of a MiB."""


def in_chunks(size: int, times: int) -> str:
    return f"{size:x}\r\n{'x' * size}\r\n" * times


async def counted(client: Wire) -> int:
    assert "200 OK" in await client.head()
    return int(await client.reader.readexactly(9))


async def begun(server: Server, client: Wire, body: str) -> Connection:
    """Where a push has begun."""
    await client.send(CHUNKED)
    await until(lambda: bool(server.connections))
    client.writer.write(body.encode())
    (connection,) = server.connections
    assert isinstance(connection, Connection)
    return connection


def read_from(connection: Connection) -> bool:
    assert isinstance(connection.transport, asyncio.ReadTransport)
    return connection.transport.is_reading()


@pytest.mark.parametrize("reads", [True, False], ids=["a push", "a body that nobody reads"])
async def test_others_have_their_turn_between_so_many_chunks(reads: bool) -> None:
    bodies = []

    async def answers(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(request.content)
        return await counts(request) if reads else web.Response()

    async with served(Server(answers, Limits())) as url, wire(url) as client:
        await client.send(CHUNKED)
        await until(lambda: bool(bodies))
        client.writer.write(in_chunks(1, ONE_READ).encode())
        most, before = 0, 0
        async with asyncio.timeout(PATIENCE):
            while before < ONE_READ - 1 and not client.reader.at_eof():
                await asyncio.sleep(0)  # a turn of the loop
                now = bodies[0].total_bytes
                most, before = max(most, now - before), now

    assert before == ONE_READ or not reads
    assert most <= 4 * KIB


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_a_body_comes_whole_and_what_is_asked_behind_it_is_answered(size: int) -> None:
    async with served(Server(counts, Limits())) as url, wire(url) as client:
        for times in (20_000, 1, 2000):
            client.writer.write((CHUNKED + in_chunks(size, times) + "0\r\n\r\n").encode())
        got = [await counted(client) for _ in range(3)]
        await client.send(CHUNKED + in_chunks(size, 3) + "0\r\n\r\n")

        assert [size * 20_000, size, size * 2000] == got
        assert size * 3 == await counted(client), "and after a while"


async def test_a_connection_that_rests_is_not_read_from_and_is_again_afterwards() -> None:
    server = Server(counts, Limits())
    server.framing.rest(AT_ONCE + RATE // 10, 0, asyncio.get_running_loop().time())
    async with served(server) as url, wire(url) as client:
        connection = await begun(server, client, in_chunks(1, 2000))
        await until(lambda: connection._rest_timer.runs)
        assert not read_from(connection)

        await until(lambda: not connection._rest_timer.runs)
        await until(lambda: read_from(connection))


async def test_whoever_sends_sensible_chunks_is_not_held_up_by_others() -> None:
    server = Server(counts, Limits())
    server.framing.rest(RATE * 100, 0, asyncio.get_running_loop().time())
    async with served(server) as url, wire(url) as client:
        async with asyncio.timeout(LONGEST / 2):
            for size, times in ((512, 8000), (32 * KIB, 100), (1, 50)):
                await client.send(CHUNKED)
                body = in_chunks(size, times) + "0\r\n\r\n"
                for at in range(0, len(body), 1001):
                    await client.send(body[at : at + 1001])
                assert size * times == await counted(client)


async def test_a_client_that_leaves_while_its_connection_rests_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left, "LOOK", 0.05)
    server = Server(counts, Limits())
    server.framing.rest(RATE * 100, 0, asyncio.get_running_loop().time())
    async with served(server) as url:
        async with wire(url) as client:
            connection = await begun(server, client, in_chunks(1, ONE_READ))
            await until(lambda: connection._rest_timer.runs)

        await until(lambda: not server.connections)
        assert not connection._rest_timer.runs


async def test_a_connection_that_rests_ends_with_the_server() -> None:
    server = Server(counts, Limits())
    server.framing.rest(RATE * 100, 0, asyncio.get_running_loop().time())
    async with served(server) as url, wire(url) as client:
        connection = await begun(server, client, in_chunks(1, ONE_READ))
        await until(lambda: connection._rest_timer.runs)
        await server.shutdown(0.05)

        assert b"" == await client.rest()
        assert not connection._rest_timer.runs
