"""A client that is slow, silent, greedy or speaks no HTTP holds neither memory nor a place for long."""

import asyncio
import io
import json
import os
import ssl
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from apprproxy.core.model import KIB
from apprproxy.face import left
from apprproxy.face.exchange import Exchange
from apprproxy.face.send import send_body
from apprproxy.face.server import MAX_REASONS, Connection, Limits, Server
from apprproxy.ops.journal import Journal
from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running
from tests.fakes.listening import listening, served
from tests.fakes.ranged import stopping_at
from tests.fakes.raw import Wire, wire
from tests.fakes.registry import Registry

BIG = some_bytes(40_000_000)
LIMITS = {"limits": {"header": "150ms", "idle": "300ms", "stall": "200ms", "connections": 3}}

ASKS = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LEFT = Limits(header=0.15, idle=0.2, stall=0.2)


def ended(gateway: Running, outcome: str) -> float:
    return gateway.metric("apprproxy_requests_total", status=outcome)


def line_of(server: Server) -> asyncio.WriteTransport:
    """Its only connection's."""
    (connection,) = server.connections
    assert isinstance(connection.transport, asyncio.WriteTransport)
    return connection.transport


async def test_a_client_that_says_half_a_header_is_dropped(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server=LIMITS)
    async with wire(gateway.url) as client:
        await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        assert b"" == await client.rest()


async def test_a_client_that_says_half_a_header_behind_a_request_is_dropped(gateways: Gateways) -> None:
    limits = {**LIMITS["limits"], "idle": "1h"}
    gateway = await gateways.start({}, server={"limits": limits})
    async with wire(gateway.url) as client:
        await client.send(ASKS.replace("/", "/healthz", 1) + "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")

        assert (await client.rest()).endswith(b"\r\n\r\nok\n")


async def test_half_a_header_behind_a_request_waits_for_its_answer() -> None:
    gate = Gate()

    async def answers(request: web.BaseRequest) -> web.StreamResponse:
        await gate()
        return web.Response(text="ok")

    async with served(Server(answers, LEFT)) as url, wire(url) as client:
        await client.send(ASKS + ASKS[:9])
        await asyncio.sleep(3 * LEFT.header)
        await client.send(ASKS[9:])
        gate.open()

        assert 2 == (await client.rest()).count(b"200 OK")


async def test_who_has_sent_a_body_may_rest_as_long_as_others(gateways: Gateways) -> None:
    limits = {**LIMITS["limits"], "idle": "1h"}
    gateway = await gateways.start({}, server={"limits": limits})
    chunked = "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with wire(gateway.url) as client:
        for part in (chunked, "3\r\nabc\r\n", "0\r\n", "\r\n"):
            await client.send(part)
            await asyncio.sleep(0.01)
        await client.head()
        await asyncio.sleep(0.4)
        await client.send(ASKS.replace("/", "/healthz", 1))
        async with asyncio.timeout(5):
            rest = await client.reader.readuntil(b"ok\n")

    assert b" 200 OK" in rest


async def test_a_client_that_dribbles_a_header_is_dropped(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server=LIMITS)
    async with wire(gateway.url) as client:
        rest = asyncio.create_task(client.rest())
        try:
            for letter in "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + "y" * 100:
                await client.send(letter)
                await asyncio.wait([rest], timeout=0.02)
                if rest.done():
                    break
        except ConnectionError:
            pass

        assert b"" == await rest


async def test_a_client_that_says_nothing_is_dropped(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server=LIMITS)
    async with wire(gateway.url) as client:
        assert b"" == await client.rest()


async def test_a_connection_may_rest_between_requests(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server=LIMITS)
    async with wire(gateway.url) as client:
        for _ in range(3):
            await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

            assert "200 OK" in await client.head()
            assert b"ok\n" == await client.reader.readexactly(3)

        assert b"" == await client.rest()


async def test_the_second_request_of_a_connection_has_no_more_time(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server={"limits": {**LIMITS["limits"], "idle": "1h"}})
    async with wire(gateway.url) as client:
        await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        await client.reader.readexactly(3)
        await client.send("GET /heal")

        assert b"" == await client.rest()


async def test_a_push_may_take_longer_than_a_header(gateways: Gateways) -> None:
    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        async for _ in request.content.iter_chunked(1 << 20):
            pass
        await asyncio.sleep(0.5)
        return web.json_response({"status": "ok"})

    push = "/old/cnr/api/v1/packages/alice/nginx"
    async with listening(slowly) as url:
        upstream = {"kind": "appr", "url": url, "writes": "pass"}
        gateway = await gateways.start({"old": upstream}, server={"limits": {"header": "200ms"}})
        answers = []
        for _ in range(3):
            async with gateway.session.post(gateway.url + push, data=io.BytesIO(b"x" * 300_000)) as answer:
                answers.append(answer.status)

    assert [200, 200, 200] == answers


async def test_a_client_that_stops_reading_is_dropped(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob("library/app", BIG)
    gateway = await gateways.start({"hub": registry}, server=LIMITS)
    async with wire(gateway.url, limit=1000) as client:
        await client.send(f"GET /v2/hub/library/app/blobs/{wanted} HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: ended(gateway, "client-left") == 1)
        received = await client.rest()

        assert len(received) < len(BIG)
    assert BIG == (await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")).body


async def test_a_client_that_reads_slowly_and_steadily_is_not_dropped(registry: Registry, gateways: Gateways) -> None:
    content = some_bytes(2_500_000)
    wanted = registry.add_blob("library/app", content)
    gateway = await gateways.start({"hub": registry}, server={"limits": {"stall": "1s"}})
    received = b""
    async with wire(gateway.url, limit=16_000, window=32_000) as client:
        await client.send(f"GET /v2/hub/library/app/blobs/{wanted} HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        while len(received) < len(content) and (piece := await client.reader.read(16_000)):
            received += piece
            await asyncio.sleep(len(piece) / 600_000)  # the pace of a slow line: that is the point

    assert content == received


async def test_a_client_that_stops_reading_a_document_is_dropped(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", note="x" * 8_000_000)
    gateway = await gateways.start({"hub": registry}, server=LIMITS)
    async with wire(gateway.url, limit=1000) as client:
        request = f"GET /v2/hub/library/app/manifests/{digest(content)} HTTP/1.1\r\nHost: x\r\n\r\n"
        await client.send(request)
        await until(lambda: ended(gateway, "client-left") == 1)

        assert len(await client.rest()) < len(content)


async def test_small_answers_that_nobody_reads_do_not_pile_up(gateways: Gateways) -> None:
    """One connection that asks on and on, and takes nothing but what the system holds for it."""
    gateway = await gateways.start({}, server=LIMITS)
    async with wire(gateway.url, limit=1000, window=2048) as client, asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            while not ended(gateway, "client-left"):
                await client.send("GET /api/openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                await asyncio.sleep(0.01)

    assert 1 == ended(gateway, "client-left")
    assert ended(gateway, "200") < 700, "of 13 KiB each"


async def test_a_large_answer_that_nobody_reads_is_hardly_in_memory_once_more() -> None:
    """Everybody is sent the same bytes; what the system does not take of them is each connection's own."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await send_body(Exchange(request, "1", 60.0), 200, BIG, {})

    server = Server(answer, Limits())
    async with served(server) as url, wire(url, limit=1000, window=4096) as client:
        await client.send(ASKS)
        await client.head()
        line = line_of(server)
        await until(lambda: line.get_write_buffer_size() > 0)

        assert line.get_write_buffer_size() <= 64 * KIB


async def test_a_client_that_leaves_the_last_answer_is_dropped() -> None:
    """Not enough of it is left for another limit, and it never asks again."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await send_body(Exchange(request, "1", LEFT.stall), 200, b"x" * 10_000, {})

    server = Server(answer, LEFT)
    async with served(server) as url, wire(url, limit=1000, window=2048) as client:
        await client.send(ASKS)
        await client.head()
        line = line_of(server)
        while not line.get_write_buffer_size():
            await client.send(ASKS)
            await asyncio.sleep(0.002)

        assert line.get_write_buffer_size() <= 20_000
        await until(lambda: not server.connections)


async def test_a_connection_that_is_closed_waits_for_nobody_for_ever() -> None:
    """By TLS some of an answer is out of sight when it has been sent."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        line_of(server).set_write_buffer_limits(1 << 30)
        line_of(server).write(BIG)
        return web.Response(headers={"Connection": "close"})

    server = Server(answer, LEFT)
    async with served(server) as url, wire(url, limit=1000, window=2048) as client:
        await client.send(ASKS)
        await until(lambda: bool(server.connections))

        await until(lambda: not server.connections)


async def test_a_client_that_does_not_take_a_refusal_is_dropped() -> None:
    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        line_of(server).write(BIG)
        raise BadHttpMessage("malformed")

    server = Server(refuse, LEFT)
    async with served(server) as url, wire(url, limit=1000, window=2048) as client:
        await client.send(ASKS)

        await until(lambda: bool(server.connections))
        await until(lambda: not server.connections)


async def test_a_client_that_leaves_half_way_is_no_crash(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    wanted = registry.add_blob("library/app", BIG)
    gateway = await gateways.start({"hub": registry})
    async with wire(gateway.url) as client:
        await client.send(f"GET /v2/hub/library/app/blobs/{wanted} HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
    await until(lambda: ended(gateway, "client-left") == 1)

    assert "Traceback" not in logged.text
    assert 200 == (await gateway.head(f"/v2/hub/library/app/blobs/{wanted}")).status


@pytest.mark.parametrize(
    ("field", "behind"),
    [("", ""), ("Content-Length: 90000\r\n", "x" * 90_000), ("", ASKS * 40)],
    ids=["nothing", "a body", "requests"],
)
async def test_a_client_that_left_is_noticed_whatever_it_sent_that_nobody_reads(
    field: str, behind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "LOOK", 0.05)
    gate = Gate()

    async def waits(_: web.BaseRequest) -> web.StreamResponse:
        await gate()
        return web.Response()

    server = Server(waits, Limits())
    async with served(server) as url:
        async with wire(url) as client:
            client.writer.write(f"{ASKS[:-2]}{field}\r\n{behind}".encode())
            await gate.reached()
            await asyncio.sleep(0.1)
            assert server.connections

        await until(lambda: not server.connections)


def open_below(directory: Path) -> list[str]:
    """The files there that this process has open."""
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the list itself
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in paths if path.startswith(f"{directory}/")]


@pytest.mark.usefixtures("uncollected")
async def test_what_a_client_left_is_closed_at_once(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob("library/app", BIG)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    await gateway.at_rest()
    for _ in range(3):
        async with wire(gateway.url, limit=1000, window=4096) as client:
            await client.send(f"GET /v2/hub/library/app/blobs/{wanted} HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.head()
    await until(lambda: ended(gateway, "client-left") == 3)

    await until(lambda: not open_below(gateway.cache / "blobs"))


@pytest.mark.usefixtures("uncollected")
async def test_what_a_client_left_while_it_came_is_closed_once_it_is_there(
    registry: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    wanted = registry.add_blob("library/app", BIG)
    registry.on["blob"] = stopping_at((len(BIG) // 2, gate))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    async with wire(gateway.url, limit=1000, window=4096) as client:
        await client.send(f"GET /v2/hub/library/app/blobs/{wanted} HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
    await until(lambda: ended(gateway, "client-left") == 1)
    gate.open()
    await gateway.at_rest()

    await until(lambda: not [*open_below(gateway.cache / "blobs"), *open_below(gateway.cache / "ingest")])


async def test_connections_beyond_the_limit_are_closed_at_once(gateways: Gateways, logged: Logged) -> None:
    gateway = await gateways.start({}, server={"limits": {"connections": 2}})
    async with wire(gateway.url) as first, wire(gateway.url) as second:
        for client in (first, second):
            await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "200 OK" in await client.head()
            await client.reader.readexactly(3)
            await client.send("GET /healthz HTTP/1.1\r\n")
        async with wire(gateway.url) as third:
            assert b"" == await third.rest()
        await first.send("Host: x\r\n\r\n")

        assert "200 OK" in await first.head()
        assert 1 == logged.text.count("too many connections")


async def test_who_comes_last_has_the_place_of_who_has_rested_longest(gateways: Gateways, logged: Logged) -> None:
    """Nodes keep connections that they do not use, and who keeps all of them would keep everybody else out."""
    gateway = await gateways.start({}, server={"limits": {"connections": 3}})
    async with wire(gateway.url) as first, wire(gateway.url) as second, wire(gateway.url) as busy:
        await busy.send("GET /healthz HTTP/1.1\r\n")
        for client in (first, second, first):
            await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "200 OK" in await client.head()
            await client.reader.readexactly(3)
        async with wire(gateway.url) as third:
            await third.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "200 OK" in await third.head()
        assert b"" == await second.rest()
        for client, rest in ((first, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), (busy, "Host: x\r\n\r\n")):
            await client.send(rest)
            assert "200 OK" in await client.head()

    assert "too many connections" not in logged.text


async def test_whoever_is_turned_away_is_not_looked_for_each_time(
    gateways: Gateways, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among thousands of connections that takes a millisecond, in which nobody is served."""
    looked: list[Connection] = []
    monkeypatch.setattr("apprproxy.face.server.LOOK_AGAIN", 60.0)
    monkeypatch.setattr(Connection, "unused", property(looked.append))
    gateway = await gateways.start({}, server={"limits": {"connections": 1}})
    async with wire(gateway.url) as busy:
        await busy.send("GET /healthz HTTP/1.1\r\n")
        for _ in range(20):
            async with wire(gateway.url) as client:
                assert b"" == await client.rest()

    assert 1 <= len(looked) <= 2
    assert "too many connections" in logged.text


async def test_who_makes_way_is_not_looked_for_each_time(gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes has the place of another: a thousand who do so at once would each have all looked at."""
    looked: list[Connection] = []
    honest = cast(property, Connection.unused)

    def unused(one: Connection) -> bool:
        looked.append(one)
        return bool(honest.__get__(one))

    monkeypatch.setattr(Connection, "unused", property(unused))
    gateway = await gateways.start({}, server={"limits": {"connections": 12}})
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(20):
            clients.append(await stack.enter_async_context(wire(gateway.url)))
            await _served(clients[-1])
            if len(clients) == 14:  # the first two made way; who comes next in turn is used once more
                await _served(clients[2])
        await _served(clients[2])

        assert [b""] * 8 == [await one.rest() for one in (*clients[:2], *clients[3:9])]
        assert len(looked) < 40
        for client in clients[9:]:
            await _served(client)


async def test_who_has_begun_to_ask_since_it_was_found_does_not_make_way(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server={"limits": {"connections": 3}})
    async with wire(gateway.url) as first, wire(gateway.url) as second, wire(gateway.url) as third:
        for client in (first, second, third):
            await _served(client)
        async with wire(gateway.url) as fourth:
            await _served(fourth)  # the first made way, and it is known who does next
            await second.send("GET /healthz HTTP/1.1\r\n")
            await _served(fourth)
            async with wire(gateway.url) as fifth:
                await _served(fifth)
                await second.send("Host: x\r\n\r\n")

                assert "200 OK" in await second.head()
                assert [b"", b""] == [await first.rest(), await third.rest()]


async def _served(client: Wire) -> None:
    await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "200 OK" in await client.head()
    await client.reader.readexactly(3)


async def test_a_place_that_was_left_is_free_again(gateways: Gateways) -> None:
    gateway = await gateways.start({}, server={"limits": {"connections": 1}})
    for _ in range(5):
        async with wire(gateway.url) as client:
            await client.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

            assert b"ok\n" == (await client.rest())[-3:]


async def test_nothing_is_taken_behind_a_tunnel_that_is_not_made(gateways: Gateways) -> None:
    gateway = await gateways.start({})
    async with wire(gateway.url) as client:
        behind = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
        await client.send(f"CONNECT gateway:443 HTTP/1.1\r\nHost: x\r\n\r\n{behind}")
        head = await client.head()
        rest = await client.rest()

    assert "Connection: close" in head
    assert b"HTTP/1.1" not in rest


async def test_who_offers_another_protocol_keeps_its_connection(gateways: Gateways) -> None:
    """Java's client offers HTTP/2 with each request, and goes on without (RFC 9110, section 7.8)."""
    gateway = await gateways.start({})
    async with wire(gateway.url) as client:
        for _ in range(2):
            await client.send(
                "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
            )
            head = await client.head()
            await client.reader.readexactly(3)

            assert "Connection: close" not in head


@pytest.mark.parametrize("offered", ["h2c", "websocket", "foo"])
@pytest.mark.parametrize("split", [0, 20])
async def test_what_comes_with_an_offer_of_another_protocol_is_answered_rightly_or_not_at_all(
    offered: str, split: int, gateways: Gateways
) -> None:
    """Whoever was not answered is told so by the end of the connection, and asks anew (RFC 9112, section 9.3.2)."""
    gateway = await gateways.start({})
    offering = f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {offered}\r\n\r\n"
    plain = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with wire(gateway.url) as client:
        await client.send(offering + plain + plain[:split])
        head = await client.head()
        with suppress(ConnectionError):
            await client.send(plain[split:])
        rest = await client.rest()

    assert "200 OK" in head
    assert "Connection: close" in head
    assert b"ok\n" == rest


@pytest.mark.parametrize("offered", ["h2c", "websocket"])
async def test_a_request_behind_a_refused_body_of_another_protocol_does_not_wait(
    offered: str, gateways: Gateways
) -> None:
    gateway = await gateways.start({})
    async with wire(gateway.url) as client:
        await client.send(
            f"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {offered}\r\n"
            "Content-Length: 40000\r\n\r\n"
        )
        await client.send("x" * 40_000)
        head = await client.head()

        assert " 405 " in head
        assert "Connection: close" in head
        assert b"HTTP/1.1" not in await client.rest()


async def test_what_is_not_http_is_refused_without_a_traceback(gateways: Gateways, logged: Logged) -> None:
    gateway = await gateways.start({})
    for noise in ("\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /a b HTTP/1.1\r\n\r\n"):
        async with wire(gateway.url) as client:
            await client.send(noise + "\r\n\r\n")

            assert (await client.rest())[:12] in (b"HTTP/1.0 400", b"HTTP/1.1 400", b"")
    assert "Traceback" not in logged.text


async def test_reasons_that_quote_a_client_are_not_a_line_for_each_thing_it_sends(logged: Logged) -> None:
    server = Server(None, Limits(), Journal())
    for number in range(2 * MAX_REASONS):
        server.malformed(f"'{number}' is no such thing", 400, "10.0.0.1")

    assert MAX_REASONS + 1 == logged.text.count("a malformed request was refused")


@pytest.mark.parametrize(
    "begun",
    [
        "GET http://user:hunter2@h:bad/ HTTP/1.1\r\nHost: x",
        f"GET / HTTP/1.1\r\nAuthorization: Bearer hunter2{'y' * 33_000}",
    ],
    ids=["in a target", "in a long field"],
)
async def test_what_is_refused_is_not_quoted_where_it_may_be_a_credential(begun: str, logged: Logged) -> None:
    async def never(_: web.BaseRequest) -> web.StreamResponse:
        raise AssertionError

    async with served(Server(never, Limits(), Journal())) as url, wire(url) as client:
        await client.send(f"{begun}\r\n\r\n")
        assert "400 Bad Request" in await client.head()

    assert 1 == logged.text.count("a malformed request was refused")
    assert "hunter2" not in logged.text


async def test_tls_on_a_plain_port_is_called_that_and_not_each_time(gateways: Gateways, logged: Logged) -> None:
    gateway = await gateways.start({})
    for _ in range(5):
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]), ssl=True)
    async with wire(gateway.url) as client:
        await client.send("GET\r\n\r\n")
        answer = await client.rest()
    lines = [json.loads(line) for line in logged.text.splitlines() if "malformed" in line]

    assert 1 == len([line for line in lines if "HTTPS traffic on an HTTP port" in line["reason"]])
    assert 2 == len(lines), "another reason is another line"
    assert b"Server: apprproxy/" in answer


def test_a_line_that_has_just_ended_by_tls_has_no_socket_to_ask() -> None:
    assert not left.has_left(None)
