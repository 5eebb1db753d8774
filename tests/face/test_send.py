"""Held bytes on the wire: whole, in parts, or not at all where the client has them."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from apprproxy.face.exchange import Exchange
from apprproxy.face.send import send_body, send_pieces
from apprproxy.face.server import Limits, Server
from tests.fakes.clock import until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Running
from tests.fakes.listening import served
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

SMALL = some_bytes(1000)
LARGE = some_bytes(3_000_001)
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["from memory", "by sendfile"])


async def holding(registry: Registry, gateways: Gateways, content: bytes) -> tuple[Running, str]:
    """A gateway that holds the blob, without its upstream; and the blob's path."""
    wanted = registry.add_blob("library/app", content)
    gateway = await gateways.start({"hub": registry})
    path = f"/v2/hub/library/app/blobs/{wanted}"
    assert (await gateway.get(path)).body == content
    await gateway.at_rest()
    await registry.stop()
    return gateway, path


@SIZES
async def test_a_held_blob_says_what_it_is(registry: Registry, gateways: Gateways, content: bytes) -> None:
    gateway, path = await holding(registry, gateways, content)
    got = await gateway.get(path, Accept_Encoding="gzip, deflate, br")

    assert (200, content) == (got.status, got.body)
    assert f'"{digest(content)}"' == got.headers["ETag"]
    assert digest(content) == got.headers["Docker-Content-Digest"]
    assert "bytes" == got.headers["Accept-Ranges"]
    assert "private, immutable" == got.headers["Cache-Control"]
    assert "application/octet-stream" == got.headers["Content-Type"]
    assert "Content-Encoding" not in got.headers


@SIZES
@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=900-", 900, None), ("bytes=-7", -7, None)],
)
async def test_a_part_of_a_held_blob(
    registry: Registry, gateways: Gateways, content: bytes, field: str, start: int, stop: int | None
) -> None:
    gateway, path = await holding(registry, gateways, content)
    got = await gateway.get(path, Range=field)
    part = content[start:stop]
    first = start % len(content)

    assert (206, part) == (got.status, got.body)
    assert f"bytes {first}-{first + len(part) - 1}/{len(content)}" == got.headers["Content-Range"]
    assert str(len(part)) == got.headers["Content-Length"]


@SIZES
async def test_a_part_beyond_the_end_is_refused(registry: Registry, gateways: Gateways, content: bytes) -> None:
    gateway, path = await holding(registry, gateways, content)
    got = await gateway.get(path, Range=f"bytes={len(content)}-")

    assert (416, b"") == (got.status, got.body)
    assert f"bytes */{len(content)}" == got.headers["Content-Range"]


@pytest.mark.parametrize("field", ["bytes=5-2", "bytes=x", "bytes=0-1,5-6", "pages=1-2"])
async def test_a_part_that_cannot_be_read_is_the_whole(registry: Registry, gateways: Gateways, field: str) -> None:
    gateway, path = await holding(registry, gateways, SMALL)

    assert (200, SMALL) == ((got := await gateway.get(path, Range=field)).status, got.body)


async def test_if_range_asks_for_a_part_of_these_bytes_only(registry: Registry, gateways: Gateways) -> None:
    gateway, path = await holding(registry, gateways, SMALL)
    same = await gateway.get(path, Range="bytes=5-", If_Range=f'"{digest(SMALL)}"')
    other = await gateway.get(path, Range="bytes=5-", If_Range='"something else"')
    dated = await gateway.get(path, Range="bytes=5-", If_Range="Fri, 15 Jan 2027 08:00:00 GMT")

    assert (206, SMALL[5:]) == (same.status, same.body)
    assert (200, SMALL) == (other.status, other.body)
    assert (200, SMALL) == (dated.status, dated.body)


async def test_what_the_client_has_is_not_sent(registry: Registry, gateways: Gateways) -> None:
    gateway, path = await holding(registry, gateways, SMALL)
    has = await gateway.get(path, If_None_Match=f'W/"{digest(SMALL)}"')
    has_not = await gateway.get(path, If_None_Match='"other"')

    assert (304, b"") == (has.status, has.body)
    assert f'"{digest(SMALL)}"' == has.headers["ETag"]
    assert (200, SMALL) == (has_not.status, has_not.body)


@SIZES
async def test_head_of_a_held_blob_ignores_ranges(registry: Registry, gateways: Gateways, content: bytes) -> None:
    gateway, path = await holding(registry, gateways, content)
    head = await gateway.head(path, Range="bytes=0-1")

    assert (200, b"", str(len(content))) == (head.status, head.body, head.headers["Content-Length"])


async def test_bytes_sent_are_counted(registry: Registry, gateways: Gateways) -> None:
    gateway, path = await holding(registry, gateways, LARGE)
    await gateway.get(path, Range="bytes=0-9")

    await until(lambda: gateway.metric("apprproxy_client_bytes_total", face="oci") == len(LARGE) + 10)


async def test_what_is_published_as_a_page_runs_nothing_in_a_browser(registry: Registry, gateways: Gateways) -> None:
    """A script of it would read whatever the gateway serves to whoever opens it."""
    page = json.dumps({"schemaVersion": 2, "mediaType": "text/html", "note": "<script>alert(1)</script>"}).encode()
    registry.add_manifest("evil/app", page, tag="1")
    gateway = await gateways.start({"hub": registry})
    for path in ("/v2/hub/evil/app/manifests/1", "/v2/hub/evil/app/manifests/2", "/"):
        headers = (await gateway.get(path)).headers

        assert "default-src 'none'; sandbox" == headers["Content-Security-Policy"]
        assert "nosniff" == headers["X-Content-Type-Options"]


@pytest.mark.parametrize("made", [False, True], ids=["of a body", "of pieces"])
async def test_others_have_a_turn_before_each_further_part(made: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes all at once never makes us wait: a package in JSON held up everybody until its end, and
    sixty of them for seven seconds."""
    loop, turns, written = asyncio.get_running_loop(), [0], list[int]()
    genuine = web.StreamResponse.write

    def turn() -> None:
        turns[0] += 1
        loop.call_soon(turn)

    async def write(response: web.StreamResponse, part: bytes | bytearray | memoryview) -> None:
        written.append(turns[0])
        await genuine(response, part)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(10_000)

    async def answers(request: web.BaseRequest) -> web.StreamResponse:
        loop.call_soon(turn)
        exchange = Exchange(request, "1", 60.0)
        return await (send_pieces(exchange, 100_000, pieces(), {}) if made else send_body(exchange, 200, LARGE, {}))

    monkeypatch.setattr(web.StreamResponse, "write", write)
    async with served(Server(answers, Limits())) as url, wire(url) as client:
        await client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await client.rest()

    assert len(written) > 9
    assert len(set(written)) == len(written)
