"""Nothing unverified leaves: within ``patience`` not even headers, and a body that turns out wrong is broken off."""

import asyncio

import aiohttp
import pytest

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

BLOB = some_bytes(400_000)
WRONG = some_bytes(400_000, seed="wrong")
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_after_patience_headers_go_out_before_the_body(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "100ms"})
    async with gateway.session.get(gateway.url + PATH) as response:
        announced = (response.status, response.content_length)
        held_back = gateway.blobs
        gate.open()
        body = await response.read()

        assert (200, len(BLOB)) == announced
        assert [] == held_back
        assert BLOB == body


async def test_headers_go_out_as_soon_as_the_size_is_known_after_patience(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    size, body = Gate(), Gate()
    registry.on["blob"] = lies.waiting_for(size, lies.headers_then(body))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    asking = asyncio.create_task(gateway.session.get(gateway.url + PATH))
    await size.reached()
    early = asking.done()
    size.open()
    async with await asking as response:
        body.open()

        assert not early
        assert (200, len(BLOB)) == (response.status, response.content_length)
        assert BLOB == await response.read()


async def test_a_body_that_turns_out_wrong_is_never_completed(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate, WRONG)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "100ms"})
    async with gateway.session.get(gateway.url + PATH) as response:
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert [] == gateway.blobs
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")
    assert 1 == gateway.metric("apprproxy_requests_total", status="broken-off")


async def test_no_byte_of_a_wrong_body_leaves_where_nothing_is_streamed(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate, WRONG)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "100ms", "stream": "never"})
    async with wire(gateway.url) as client:
        await client.send(REQUEST)
        head = await client.head()
        gate.open()

        assert "HTTP/1.1 200 OK" in head
        assert b"" == await client.rest()


async def test_a_range_of_what_is_under_way_is_right_or_broken_off(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "100ms"})
    asking = asyncio.create_task(gateway.get(PATH, Range="bytes=399990-"))
    await until(lambda: gate.waiting == 1)
    gate.open()
    answer = await asking

    assert (206, BLOB[399990:]) == (answer.status, answer.body)
    assert "bytes 399990-399999/400000" == answer.headers["Content-Range"]


async def test_within_patience_a_wrong_body_is_a_clean_failure(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate, WRONG)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "1h"})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    gate.open()

    assert 502 == (await asking).status


async def test_a_blob_of_unknown_size_is_verified_first(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate, lies.chunked(WRONG))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    gate.open()

    assert 502 == (await asking).status


async def test_an_old_client_is_answered_when_all_is_verified(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate, WRONG)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    async with wire(gateway.url) as client:
        await client.send(f"GET {PATH} HTTP/1.0\r\n\r\n")
        await gate.reached()
        gate.open()
        answer = await client.rest()

        assert b"502" == answer.split(b" ")[1]
        assert b"UNAVAILABLE" in answer


async def test_an_old_client_gets_the_right_bytes(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    async with wire(gateway.url) as client:
        await client.send(f"GET {PATH} HTTP/1.0\r\n\r\n")
        answer = await client.rest()

        assert answer.endswith(b"\r\n\r\n" + BLOB)


async def test_a_stalled_transfer_breaks_off_the_clients_that_have_headers(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = lies.headers_then(Gate())
    gateway = await gateways.start(
        {"hub": {"url": registry.url, "timeouts": {"read": "200ms"}}}, delivery={"patience": "50ms"}
    )
    async with wire(gateway.url) as client:
        await client.send(REQUEST)
        head = await client.head()

        assert "Content-Length: 400000" in head
        assert b"" == await client.rest()
