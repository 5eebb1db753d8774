"""A mirror's bytes wait for the digest, however long that takes; with ``stream: any`` they leave as they come."""

import asyncio

import pytest

from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.gateway import Gateways
from tests.fakes.ranged import stopping_at
from tests.fakes.raw import wire
from tests.gateway.mirrors import BLOB, HALF, PATH, Case, mirrored

ASK = f"GET {PATH} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
LATER = HALF + 100_000
AT_ONCE = {"patience": "0s"}


async def given(case: Case, half: Gate, later: Gate, wait: float = 0.1) -> tuple[bytes, bytes]:
    """What a client has while a source waits at the gate for ``LATER``, and in all."""
    async with wire(case.gateway.url, limit=4 * len(BLOB)) as client:
        await client.send(ASK)
        await client.head()
        await until(lambda: case.arrived() > 0)
        half.open()
        await later.reached()
        reading = asyncio.create_task(client.reader.read(1))
        await asyncio.wait([reading], timeout=wait)
        early = reading.result() if reading.done() else b""
        later.open()
        first = await reading
        return early, first + await client.rest()


@pytest.mark.parametrize("stream", ["owner", "never"])
async def test_a_mirrors_bytes_never_leave_before_they_are_verified(gateways: Gateways, stream: str) -> None:
    half, later = Gate(), Gate()
    async with mirrored(gateways, delivery={**AT_ONCE, "stream": stream}) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, half), (LATER, later))
        early, whole = await given(case, half, later)

    assert b"" == early
    assert BLOB == whole


async def test_where_anybodys_bytes_may_leave_a_mirrors_do(gateways: Gateways) -> None:
    half, later = Gate(), Gate()
    async with mirrored(gateways, delivery={**AT_ONCE, "stream": "any"}) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, half), (LATER, later))
        early, whole = await given(case, half, later, wait=PATIENCE)

    assert BLOB[:1] == early
    assert BLOB == whole


async def test_a_mirrors_lie_never_reaches_a_client_that_waited_beyond_patience(gateways: Gateways) -> None:
    half, later = Gate(), Gate()
    async with mirrored(gateways, delivery=AT_ONCE) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, half), (LATER, later), body=b"?" + BLOB[1:])
        early, whole = await given(case, half, later)

    assert b"" == early
    assert BLOB == whole


async def test_the_owners_rest_after_a_mirrors_beginning_waits_as_well(gateways: Gateways) -> None:
    half, later = Gate(), Gate()
    async with mirrored(gateways, delivery=AT_ONCE) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, half), (HALF, None))
        case.owner.on["GET blob"] = stopping_at((LATER, later))
        early, whole = await given(case, half, later)

    assert b"" == early
    assert BLOB == whole
