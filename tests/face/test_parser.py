"""A header is bounded as a whole, and so is what is read ahead of the request that is being answered."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage

from apprproxy.core.model import KIB
from apprproxy.face.parser import AHEAD, Parser
from apprproxy.face.server import Limits, Server
from tests.fakes.clock import Gate, until
from tests.fakes.fixtures import Logged
from tests.fakes.listening import served
from tests.fakes.raw import wire

BEGUN = "GET / HTTP/1.1\r\nHost: x\r\n"
FIELD = f"X-Much: {'y' * 8000}\r\n"
SMALL = "".join(f"a{number}:b\r\n" for number in range(120))
CHUNKED = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def well(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=str(len(await request.read())))


async def test_a_header_of_some_credentials_is_taken() -> None:
    """In one field as well, where the library has 8 KiB."""
    async with served(Server(well, Limits())) as url:
        for fields in (FIELD * 7, f"Authorization: Bearer {'y' * 30_000}\r\n"):
            async with wire(url) as client:
                await client.send(f"{BEGUN}{fields}\r\n")

                assert "200 OK" in await client.head()


@pytest.mark.parametrize("end", ["\r\n", ""], ids=["whole", "unfinished"])
async def test_a_header_that_is_large_as_a_whole_is_refused(end: str) -> None:
    async with served(Server(well, Limits())) as url, wire(url) as client:
        await client.send(BEGUN + FIELD * 9 + end)

        assert "400 Bad Request" in await client.head()


@pytest.mark.parametrize(
    "begun", ["0\r\n", "5\r\nhello\r\n0\r\n", "5;"], ids=["trailers", "behind a body", "extension"]
)
async def test_what_is_large_beside_a_body_is_refused_too(begun: str) -> None:
    loop = asyncio.get_running_loop()
    parser, piece = Parser(BaseProtocol(loop), loop), FIELD.encode() if begun != "5;" else b"y" * 8000
    parser.feed_data((CHUNKED + begun).encode())
    for _ in range(8):
        parser.feed_data(piece)

    with pytest.raises(BadHttpMessage):
        parser.feed_data(piece)
    assert ([], False, b"") == parser.feed_data(BEGUN.encode()), "nothing behind it is read, or kept"


@pytest.mark.parametrize(
    "begun",
    [
        "CONNECT  ",
        "GET / HTTP/2.0\r\nHost: x",
        "GET / HTTP/0.9\r\nHost: x",
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615",
    ],
    ids=["nothing", "the next version", "the first version", "chunks of an old client", "coded", "longer than any"],
)
async def test_what_others_on_the_way_may_read_otherwise_is_refused(begun: str, logged: Logged) -> None:
    """The library takes each of them."""
    async with served(Server(well, Limits())) as url, wire(url) as client:
        await client.send(f"{begun}\r\n\r\n")
        answer = await client.head()

    assert "400 Bad Request" in answer
    assert "Traceback" not in logged.text


async def test_a_body_may_be_larger_than_a_header() -> None:
    async with served(Server(well, Limits())) as url, wire(url) as client:
        for head, body in (
            ("Content-Length: 300000", "x" * 300_000),
            ("Transfer-Encoding: chunked", "1\r\nx\r\n" * 50_000),
        ):
            await client.send(f"POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n")
            for at in range(0, len(body), 30_000):
                await client.send(body[at : at + 30_000])
            await client.send("0\r\n\r\n" if "chunked" in head else "")

            assert "200 OK" in await client.head()
            await client.reader.readexactly(len(str(body.count("x"))))


@pytest.mark.parametrize("fields", [FIELD * 7, SMALL], ids=["large fields", "many small ones"])
async def test_little_is_read_ahead_of_what_is_answered(fields: str) -> None:
    """Taken apart, a request is twenty times as large as it came."""
    gate = Gate()

    async def waits(_: web.BaseRequest) -> web.StreamResponse:
        await gate()
        return web.Response(text="ok")

    server = Server(waits, Limits())
    async with served(server) as url, wire(url) as client:
        await client.send(BEGUN + "\r\n")
        await gate.reached()
        client.writer.write((BEGUN + fields + "\r\n").encode() * 40)
        (connection,) = server.connections
        await until(lambda: connection._buffer_paused)

        assert len(connection._messages) <= AHEAD
        gate.open()
        for _ in range(41):
            assert "200 OK" in await client.head()
            await client.reader.readexactly(2)


async def test_little_is_held_of_a_body_that_nobody_reads() -> None:
    gate, bodies = Gate(), []

    async def waits(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(request.content)
        await gate()
        return web.Response(text="ok")

    server = Server(waits, Limits())
    async with served(server) as url, wire(url) as client:
        await client.send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
        await gate.reached()
        client.writer.write(b"x" * 2_000_000)
        (connection,) = server.connections
        await until(lambda: connection._reading_paused)

        assert bodies[0]._size <= 256 * KIB + 32 * KIB, "what one read brought, and twice the bound"
        gate.open()


async def test_what_was_put_by_behind_a_body_is_gone_on_with() -> None:
    """A request that is taken up before its body is complete counts as one that waits, for good: so the library stops
    where nobody waits."""
    loop, later = asyncio.get_running_loop(), list[object]()
    parser = Parser(BaseProtocol(loop), loop, lambda: later.extend(parser.feed_data(b"")[0]))
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    parser.message_consumed()
    await asyncio.sleep(0)
    at_once, _, _ = parser.feed_data(f"hello{BEGUN}\r\n{BEGUN}\r\n".encode())
    parser.message_consumed()
    await asyncio.sleep(0)

    assert (1, 1) == (len(at_once), len(later))


async def test_what_is_asked_at_once_behind_bodies_that_came_slowly_is_answered() -> None:
    seen = list[web.BaseRequest]()

    async def reads(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return await well(request)

    async with served(Server(reads, Limits())) as url, wire(url) as client:
        for number in range(AHEAD):
            await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
            await until(lambda: len(seen) > number)  # noqa: B023 — at once
            await client.send("y")
            assert "200 OK" in await client.head()
            await client.reader.readexactly(1)
        await client.send((BEGUN + "\r\n") * 5)
        for _ in range(5):
            assert "200 OK" in await client.head()
            await client.reader.readexactly(1)


@pytest.mark.parametrize("at", [-3, -2, -1])
async def test_an_offer_whose_header_ends_in_two_reads_keeps_its_connection(at: int) -> None:
    offering = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    loop = asyncio.get_running_loop()
    alone, followed = (Parser(BaseProtocol(loop), loop) for _ in range(2))
    for parser in (alone, followed):
        parser.feed_data(offering[:at])
    ((message, _),), *_ = alone.feed_data(offering[at:])
    ((first, _), *_), *_ = followed.feed_data(offering[at:] + offering)

    assert (False, True) == (message.should_close, first.should_close)
