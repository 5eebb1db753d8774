"""A body in tiny chunks costs its upstream time; it comes whole all the same, and everybody else goes on meanwhile."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from apprproxy.core.framing import AT_ONCE
from apprproxy.core.model import KIB
from apprproxy.core.ports.upstream import Lane
from apprproxy.upstream.connector import _CHUNKED, Connector
from apprproxy.upstream.sessions import Sessions
from tests.fakes.clock import PATIENCE, until
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.raw import answering
from tests.fakes.registry import Registry
from tests.fakes.sources import PATIENT

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def in_chunks(content: bytes, size: int) -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


ONE_READ = in_chunks(bytes(44_000), 1)
"""A quarter of a MiB."""


class Line(asyncio.Transport):
    """Knows whether anybody listens."""

    reading = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        """Leads nowhere."""


def begun(connector: aiohttp.BaseConnector | None, line: Line) -> ResponseHandler:
    """A connection on which a body is about to come."""
    assert isinstance(connector, Connector)
    handler = connector._factory()
    handler.connection_made(line)
    handler.set_response_params(read_bufsize=512 * KIB)
    handler.data_received(CHUNKED)
    return handler


def body(handler: ResponseHandler) -> aiohttp.StreamReader:
    assert handler._payload is not None
    return handler._payload


async def test_no_more_than_so_many_chunks_of_one_read_are_taken_apart_in_one_go() -> None:
    connector, line = Connector(), Line()
    handler = begun(connector, line)
    handler.data_received(ONE_READ)
    await connector.close()

    assert body(handler).total_bytes <= (AT_ONCE + _CHUNKED) / 5
    assert not line.reading


async def test_what_is_read_meanwhile_brings_no_more() -> None:
    connector, line = Connector(), Line()
    handler = begun(connector, line)
    handler.data_received(ONE_READ)
    came = body(handler).total_bytes
    read = await body(handler).readany()
    await connector.close()

    assert came == len(read) == body(handler).total_bytes
    assert not line.reading


async def test_the_rest_comes_after_a_while() -> None:
    connector, line = Connector(), Line()
    handler = begun(connector, line)
    handler.data_received(ONE_READ)
    async with asyncio.timeout(PATIENCE):
        read = await body(handler).readexactly(44_000)
    await until(lambda: line.reading)
    await connector.close()

    assert bytes(44_000) == read


async def test_an_upstream_has_no_more_for_more_connections_and_another_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    evil, hub, now = Connector(), Connector(), loop.time()
    connections = [begun(one, Line()) for one in (evil, evil, evil, hub)]
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now)  # however long this takes
        for connection in connections:
            connection.data_received(ONE_READ)
    _, second, third, stranger = (body(connection).total_bytes for connection in connections)
    await evil.close()
    await hub.close()

    assert max(second, third) < stranger / 2


async def test_an_upstream_has_no_more_for_more_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is for names, one for blobs, and others for the hosts that it leads to."""
    loop, sessions = asyncio.get_running_loop(), Sessions(PATIENT, {})
    now = loop.time()
    names, blobs = sessions.own(Lane.NAMES), sessions.own(Lane.BLOBS)
    abroad = sessions.abroad(URL("https://elsewhere.example"), Lane.BLOBS)
    connections = [begun(pool.connector, Line()) for pool in (names, blobs, abroad)]
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now)
        for connection in connections:
            connection.data_received(ONE_READ)
    first, *others = [body(connection).total_bytes for connection in connections]
    await sessions.close()

    assert max(others) < first / 2


async def test_whoever_sends_sensible_chunks_is_not_held_up_by_others_of_its_upstream() -> None:
    connector, line = Connector(), Line()
    begun(connector, Line()).data_received(ONE_READ)
    handler = begun(connector, line)
    handler.data_received(in_chunks(bytes(256 * KIB), 512))
    await connector.close()

    assert 256 * KIB == body(handler).total_bytes
    assert line.reading


async def test_a_connection_whose_answer_is_over_does_not_rest() -> None:
    """Or nobody would notice that it is closed."""
    connector, line = Connector(), Line()
    begun(connector, Line()).data_received(ONE_READ)
    handler = begun(connector, line)
    handler.data_received(in_chunks(bytes(100), 1) + b"0\r\n\r\n")
    await connector.close()

    assert body(handler).is_eof()
    assert line.reading


async def test_a_connection_that_is_lost_meanwhile_is_left_alone() -> None:
    connector = Connector()
    handler = begun(connector, Line())
    handler.data_received(ONE_READ)
    given_up = body(handler)
    came = given_up.total_bytes
    handler.close()
    handler.connection_lost(None)
    await until(lambda: not handler._resting)  # type: ignore[attr-defined]
    await connector.close()

    assert came == given_up.total_bytes


@pytest.mark.parametrize("size", [1, 5, 20])
async def test_a_list_that_comes_word_by_word_is_taken(gateways: Gateways, size: int) -> None:
    tags = [f"1.{minor}" for minor in range(8000)]
    document = json.dumps({"name": "a/b", "tags": tags}).encode()
    async with answering(CHUNKED + in_chunks(document, size) + b"0\r\n\r\n") as url:
        gateway = await gateways.start({"hub": {"url": url}})
        got = await gateway.get("/v2/hub/a/b/tags/list")

        assert 200 == got.status
        assert tags == json.loads(got.body)["tags"]


@pytest.mark.parametrize(
    "wrong", [b"0\r\nContent-Length: 5\r\n\r\n", b"-1\r\n", b"zz\r\n"], ids=["trailer", "negative", "no number"]
)
@pytest.mark.parametrize("apart", [True, False])
async def test_a_body_whose_chunks_go_wrong_has_broken_off_at_once(
    registry: Registry, gateways: Gateways, wrong: bytes, apart: bool
) -> None:
    """The library tells whoever waits nothing, and whoever comes later what looks like a fault of ours: a mirror would
    keep its owner from being asked."""
    body = some_bytes(200_000)
    path = f"/v2/hub/library/app/blobs/{registry.add_blob('library/app', body)}"
    sent = CHUNKED + in_chunks(body, 50_000)
    async with answering(*([sent, wrong] if apart else [sent + wrong])) as url:
        gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": url}])})
        async with asyncio.timeout(PATIENCE):
            got = await gateway.get(path)

        assert (200, body) == (got.status, got.body)
