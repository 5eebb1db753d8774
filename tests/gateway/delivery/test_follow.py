"""What a client is given while a blob arrives: the owner's bytes, never the end of them before the digest is right."""

import asyncio
import time

import aiohttp
import pytest

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, manifest, oci_error, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.ranged import by_range, lying_by_range, ranges_asked, stopping_at
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

MIB = 1024 * 1024
WITHHELD = 64 * 1024
SIZE = 4 * MIB
BLOB = some_bytes(SIZE)
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"
AT_ONCE = {"patience": "0s"}
UPSTREAM_BYTES = "apprproxy_upstream_bytes_total"


async def begin(registry: Registry, gateways: Gateways, **delivery: str) -> Running:
    registry.add_blob("library/app", BLOB)
    return await gateways.start({"hub": registry}, delivery={**AT_ONCE, **delivery})


async def test_the_owners_bytes_leave_while_they_arrive(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate))
    gateway = await begin(registry, gateways)
    async with gateway.session.get(gateway.url + PATH) as response:
        early = await response.content.readexactly(2 * MIB)
        held = gateway.blobs
        gate.open()
        rest = await response.read()

    assert [] == held
    assert BLOB == early + rest
    assert 1 == registry.count()
    assert SIZE == gateway.metric(UPSTREAM_BYTES)


async def test_the_end_waits_for_the_digest(registry: Registry, gateways: Gateways) -> None:
    """The wrong byte is the first: all but the withheld end is out, and nobody can complete it."""
    gate = Gate()
    registry.on["blob"] = stopping_at((SIZE - 1, gate), body=b"!" + BLOB[1:])
    gateway = await begin(registry, gateways)
    async with wire(gateway.url) as client:
        await client.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await client.head()
        gate.open()
        body = await client.rest()
    await gateway.at_rest()

    assert f"Content-Length: {SIZE}" in head
    assert SIZE - WITHHELD >= len(body)
    assert ([], []) == (gateway.blobs, gateway.ingests)


async def test_less_than_the_whole_is_never_completed_although_so_much_was_announced(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["HEAD blob"] = lies.says(200, BLOB[:1000])
    registry.on["GET blob"] = lies.chunked_until(gate, 10)
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    await gateway.head(PATH)
    async with gateway.session.get(gateway.url + PATH) as response:
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert 1000 == response.content_length


async def test_every_client_that_has_begun_is_broken_and_one_that_has_not_fails_cleanly(
    registry: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate), body=BLOB[:-1] + b"!")
    registry.add_blob("library/app", BLOB)
    begun = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    patient = await gateways.start({"hub": registry}, delivery={"patience": "1h"})
    responses = [await begun.session.get(begun.url + PATH) for _ in range(8)]
    early = [await response.content.readexactly(MIB) for response in responses]
    waiting = asyncio.create_task(patient.get(PATH))
    await until(lambda: patient.metric("apprproxy_flights") == 1)
    gate.open()
    broken = await asyncio.gather(*(response.read() for response in responses), return_exceptions=True)
    clean = await waiting
    await begun.at_rest()
    await patient.at_rest()

    assert {BLOB[:MIB]} == set(early)
    assert {aiohttp.ClientPayloadError} == {type(one) for one in broken}
    assert (502, "UNAVAILABLE") == (clean.status, clean.code)
    assert ([], []) == (begun.blobs, begun.ingests)


async def test_no_header_goes_out_before_a_source_has_answered(registry: Registry, gateways: Gateways) -> None:
    """Its *no* could not be told any more."""
    registry.push("library/app", "1.0", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.waiting_for(gate, lies.says(404, oci_error("BLOB_UNKNOWN")))
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    gate.open()

    assert 404 == (await asking).status


async def test_never_means_headers_and_no_byte(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate))
    gateway = await begin(registry, gateways, stream="never")
    async with gateway.session.get(gateway.url + PATH) as response:
        await gate.reached()
        await until(lambda: gateway.arrived() >= 2 * MIB)
        came = response.content.total_bytes
        gate.open()
        body = await response.read()

    assert (0, BLOB) == (came, body)


async def test_a_closed_ranges_own_end_is_withheld_as_well(registry: Registry, gateways: Gateways) -> None:
    """It lies far before the end of the blob, and would be complete long before the digest is known."""
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate), body=b"!" + BLOB[1:])
    gateway = await begin(registry, gateways)
    async with wire(gateway.url) as client:
        await client.send(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-{MIB - 1}\r\n\r\n")
        head = await client.head()
        early = await client.reader.readexactly(MIB - WITHHELD)
        gate.open()
        late = await client.rest()

    assert "206" in head
    assert b"!" + BLOB[1 : MIB - WITHHELD] == early
    assert b"" == late


async def test_a_client_that_leaves_first_leaves_the_others_their_bytes(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate))
    gateway = await begin(registry, gateways)
    first = await gateway.session.get(gateway.url + PATH)
    await first.content.readexactly(MIB)
    second = await gateway.session.get(gateway.url + PATH)
    first.close()
    gate.open()
    body = await second.read()

    assert BLOB == body
    assert 1 == registry.count()


async def test_a_herd_is_streamed_to_for_one_transfer(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate))
    gateway = await begin(registry, gateways)
    responses = await asyncio.gather(*(gateway.session.get(gateway.url + PATH) for _ in range(64)))
    early = {(await response.content.readexactly(MIB)) for response in responses}
    gate.open()
    bodies = set(await asyncio.gather(*(response.read() for response in responses)))

    assert {BLOB[:MIB]} == early
    assert {BLOB[MIB:]} == bodies
    assert (1, SIZE) == (registry.count(), gateway.metric(UPSTREAM_BYTES))


async def test_a_client_that_does_not_read_holds_nothing_up(registry: Registry, gateways: Gateways) -> None:
    large = some_bytes(48 * MIB)
    wanted = registry.add_blob("library/app", large)
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    path = f"/v2/hub/library/app/blobs/{wanted}"
    async with wire(gateway.url, limit=1024) as slow:
        await slow.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
        await slow.head()
        quick = await gateway.get(path)
        await gateway.at_rest()
        byte = await slow.reader.readexactly(1)

    assert (200, large[:1]) == (quick.status, byte)
    assert large == quick.body
    assert 1 == registry.count()


# --- broken off, and continued


async def broken_off(registry: Registry, gateways: Gateways, at: int = 3 * MIB) -> Running:
    """A gateway that has the beginning of the blob."""
    registry.on["blob"] = stopping_at((at, None))
    gateway = await begin(registry, gateways)
    async with gateway.session.get(gateway.url + PATH) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await gateway.at_rest()
    gateways.clock.advance(2)  # it may have broken off three times in a row, and is not asked for a second then
    return gateway


async def test_the_next_request_continues_where_the_last_one_broke_off(registry: Registry, gateways: Gateways) -> None:
    gateway = await broken_off(registry, gateways)
    registry.on["blob"] = by_range
    answer = await gateway.get(PATH)
    first, *rest = ranges_asked(registry.seen)
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert "" == first
    assert rest
    assert all(asked.startswith("bytes=") for asked in rest)
    assert SIZE == gateway.metric(UPSTREAM_BYTES)
    assert [] == gateway.ingests


async def test_a_source_that_breaks_off_and_gets_further_each_time_is_asked_for_the_rest_at_once(
    registry: Registry, gateways: Gateways
) -> None:
    registry.on["blob"] = lies.in_turn(stopping_at((2 * MIB, None)), stopping_at((SIZE - 70_000, None)), by_range)
    gateway = await begin(registry, gateways, patience="10s")
    answer = await gateway.get(PATH)

    assert (200, BLOB) == (answer.status, answer.body)
    assert 3 == registry.count("GET blob")
    assert SIZE == gateway.metric(UPSTREAM_BYTES)


async def test_a_source_that_breaks_off_without_getting_further_is_not_asked_again(
    registry: Registry, gateways: Gateways
) -> None:
    registry.on["blob"] = stopping_at((2 * MIB, None))
    gateway = await begin(registry, gateways, patience="10s")
    answer = await gateway.get(PATH)

    assert 502 == answer.status
    assert 2 == registry.count("GET blob")


async def test_a_source_without_ranges_is_skipped_into(registry: Registry, gateways: Gateways) -> None:
    gateway = await broken_off(registry, gateways)
    registry.on["blob"] = lies.honestly
    answer = await gateway.get(PATH)

    assert (200, BLOB) == (answer.status, answer.body)


LIES = {
    "another start": lying_by_range(start=1),
    "another total": lying_by_range(total=7),
    "less than is there": lies.says(416, b"", Content_Range="bytes */100"),
    "less than is there, whole": lies.says(200, BLOB[: 2 * MIB]),
    "416 without a size": lies.says(416),
    "a part without saying which": lies.says(206, BLOB[3 * MIB :]),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_wrong_continuation_is_never_taken(registry: Registry, gateways: Gateways, lie: lies.Behaviour) -> None:
    gateway = await broken_off(registry, gateways)
    registry.on["blob"] = lie
    async with gateway.session.get(gateway.url + PATH) as response:
        try:
            got = (response.status, await response.read())
        except aiohttp.ClientPayloadError:
            got = (0, b"")
    await gateway.at_rest()
    registry.on["blob"] = by_range
    gateways.clock.advance(10)
    honest = await gateway.get(PATH)
    await gateway.at_rest()

    assert got[0] in (0, 502, 503) or got == (200, BLOB)
    assert (200, BLOB) == (honest.status, honest.body)
    assert [] == gateway.ingests


async def test_a_beginning_that_was_spoilt_on_the_disk_is_fetched_anew_for_the_same_client(
    registry: Registry, gateways: Gateways
) -> None:
    """After a power cut a growing file may hold zeros: whoever is first to ask used to be told that the owner lied."""
    gateway = await broken_off(registry, gateways)
    (part,) = [path for path in gateway.ingests if path.suffix == ".part"]
    with part.open("r+b") as file:
        file.write(bytes(4096))
    registry.on["blob"] = by_range
    await gateway.close()
    patient = await gateways.start({"hub": registry})
    answer = await patient.get(PATH)
    await patient.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [] == patient.ingests


async def test_an_owner_whose_ranges_are_broken_is_asked_for_the_whole(registry: Registry, gateways: Gateways) -> None:
    gateway = await broken_off(registry, gateways)
    registry.on["blob"] = lying_by_range(start=1)
    answer = await gateway.get(PATH)

    assert (200, BLOB) == (answer.status, answer.body)
    assert ["", ""] == [asked for asked in ranges_asked(registry.seen) if not asked]


async def test_a_partial_that_has_it_all_is_verified_without_asking_for_more(
    registry: Registry, gateways: Gateways
) -> None:
    gateway = await broken_off(registry, gateways, at=SIZE - 1)
    (part,) = [path for path in gateway.ingests if path.suffix == ".part"]
    part.write_bytes(BLOB)
    registry.on["blob"] = by_range
    answer = await gateway.get(PATH)

    assert (200, BLOB) == (answer.status, answer.body)


# --- races


async def test_nobody_streams_from_a_file_that_was_found_wrong(registry: Registry, gateways: Gateways) -> None:
    """The first upstream lies to the end; a client of the second, whose part comes last, has begun nothing yet."""
    gate = Gate()
    registry.on["blob"] = lies.in_turn(stopping_at((3 * MIB, gate), body=b"!" + BLOB[1:]), by_range)
    gateway = await begin(registry, gateways)
    registry.add_blob("library/other", BLOB)
    leader = await gateway.session.get(gateway.url + PATH)
    follower = asyncio.create_task(
        gateway.get(PATH.replace("library/app", "library/other"), Range=f"bytes=-{WITHHELD}")
    )
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    with pytest.raises(aiohttp.ClientPayloadError):
        await leader.read()
    part = await follower

    assert (206, BLOB[-WITHHELD:]) == (part.status, part.body)


async def test_a_size_that_the_manifest_states_is_held_against_the_owner(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    told = registry.add_manifest("library/app", manifest(BLOB))
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    await gateway.get(f"/v2/hub/library/app/manifests/{told}")
    registry.on["blob"] = lies.says(200, BLOB + b"!")
    longer = await gateway.session.get(gateway.url + PATH)
    try:
        body = await longer.read()
    except aiohttp.ClientPayloadError:
        body = b""

    assert b"" == body or longer.status == 502
    await gateway.at_rest()
    assert [] == gateway.ingests


async def test_the_size_that_a_head_told_lets_the_headers_out(registry: Registry, gateways: Gateways) -> None:
    """A GET that is chunked does not tell it."""
    gate = Gate()
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.chunked_until(gate, len(BLOB) // 2)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    await gateway.head(PATH)
    async with gateway.session.get(gateway.url + PATH) as response:
        announced = response.content_length
        gate.open()
        body = await response.read()

    assert (len(BLOB), BLOB) == (announced, body)


async def test_patience_begins_when_the_client_asks(registry: Registry, other: Registry, gateways: Gateways) -> None:
    """Its owner is asked for the size first, which took another ten seconds of the client's thirty."""
    asked, gate = Gate(), Gate()
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["HEAD blob"] = lies.waiting_for(asked)
    other.on["GET blob"] = stopping_at((len(BLOB) // 2, gate))
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])}, delivery={"patience": "1s"})
    asking = asyncio.create_task(gateway.session.get(gateway.url + PATH))
    await asked.reached()
    await asyncio.sleep(1.0)
    asked.open()
    await gate.reached()
    begun = time.monotonic()
    response = await asking
    waited = time.monotonic() - begun
    gate.open()

    assert waited < 0.7
    assert BLOB == await response.read()
