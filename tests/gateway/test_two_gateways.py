"""Gateways that share a cache share its transfers, and finish what a killed one began."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.ranged import by_range, ranges_asked, stopping_at
from tests.fakes.registry import Registry
from tests.test_serving import gateway as process

MIB = 1024 * 1024
SIZE = 4 * MIB
BLOB = some_bytes(SIZE)
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"
AT_ONCE = {"patience": "0s"}


async def test_a_herd_at_two_gateways_is_one_transfer(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = stopping_at((3 * MIB, gate))
    one = await gateways.start({"hub": registry})
    two = await gateways.start({"hub": registry})
    asking = [asyncio.create_task(each.get(PATH)) for _ in range(32) for each in (one, two)]
    await gate.reached()
    await until(lambda: sum(each.metric("apprproxy_flight_followers_total") for each in (one, two)) == 62)
    gate.open()
    answers = await asyncio.gather(*asking)

    assert {(200, BLOB)} == {(answer.status, answer.body) for answer in answers}
    assert 1 == registry.count("GET blob")
    assert SIZE == sum(each.metric("apprproxy_upstream_bytes_total") for each in (one, two))


async def streamed_by_the_follower(registry: Registry, gateways: Gateways, *, late: bool) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = stopping_at((0, first := Gate()), (3 * MIB, gate))
    one = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    two = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    async with await one.session.get(one.url + PATH) as leading:
        await first.reached()
        if late:
            first.open()
            await leading.content.readexactly(2 * MIB)
        following = asyncio.create_task(two.session.get(two.url + PATH))
        await until(lambda: two.metric("apprproxy_flights") == 1)
        first.open()
        async with await asyncio.wait_for(following, 5) as response:
            early = await asyncio.wait_for(response.content.readexactly(2 * MIB), 5)
            held = one.blobs
            gate.open()
            rest = await response.read()

    assert [] == held
    assert BLOB == early + rest
    assert 1 == registry.count("GET blob")


@pytest.mark.parametrize("late", [True, False], ids=["it came later", "it came at the same moment"])
async def test_the_other_gateways_clients_are_streamed_to_as_well(
    registry: Registry, gateways: Gateways, late: bool
) -> None:
    """It knew neither the size nor that its repository shows the blob, and sent not even headers until the end."""
    await streamed_by_the_follower(registry, gateways, late=late)


async def test_what_another_gateway_is_filling_is_not_shown_to_a_repository_that_lacks_it(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate)), by_range)
    one = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    two = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    leading = await one.session.get(one.url + PATH)
    await leading.content.readexactly(2 * MIB)
    stranger = await two.get(PATH.replace("library/app", "evil/app"))
    gate.open()
    body = await leading.read()
    afterwards = await two.get(PATH.replace("library/app", "evil/app"))

    assert (404, 404) == (stranger.status, afterwards.status)
    assert BLOB[2 * MIB :] == body


async def test_a_repositorys_owner_is_asked_once_while_another_gateway_fills_it(
    registry: Registry, gateways: Gateways
) -> None:
    """It does not say whether it has the blob there, and the follower looks forty times a second."""
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["HEAD blob"] = lies.page(500)
    registry.on["GET blob"] = stopping_at((0, first := Gate()), (3 * MIB, gate))
    one = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    two = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    leading = await one.session.get(one.url + PATH)
    await first.reached()
    following = asyncio.create_task(two.get(PATH.replace("library/app", "evil/app")))
    await until(lambda: two.metric("apprproxy_flights") == 1)
    first.open()
    await until(lambda: registry.count("HEAD blob") > 0)
    await asyncio.sleep(0.3)
    asked = registry.count("HEAD blob")
    gate.open()
    with pytest.raises(aiohttp.ClientPayloadError):
        await following
    body = await leading.read()

    assert 1 == asked
    assert BLOB == body


async def test_a_gateway_that_is_killed_half_way_is_followed_by_the_other(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate)), by_range)
    here = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    async with (
        process(tmp_path, upstreams={"hub": oci(registry)}, delivery=AT_ONCE) as leader,
        aiohttp.ClientSession() as session,
        session.get(leader.urls[0] + PATH) as doomed,
    ):
        await doomed.content.readexactly(2 * MIB)
        followers = [await here.session.get(here.url + PATH) for _ in range(4)]
        early = {await response.content.readexactly(MIB) for response in followers}
        leader.process.send_signal(signal.SIGKILL)
        await leader.process.wait()
        rest = {await response.read() for response in followers}
    await here.at_rest()
    first, second = ranges_asked(registry.seen)
    start = int(second.removeprefix("bytes=").removesuffix("-"))

    assert ({BLOB[:MIB]}, {BLOB[MIB:]}) == (early, rest)
    assert "" == first
    assert 2 * MIB <= start
    assert SIZE - start == here.metric("apprproxy_upstream_bytes_total")
    assert ([digest(BLOB)], []) == (here.blobs, here.ingests)


async def test_a_failure_elsewhere_is_not_ours(registry: Registry, other: Registry, gateways: Gateways) -> None:
    """The leader's upstream breaks off; the follower's own has it."""
    for each in (registry, other):
        each.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = stopping_at((3 * MIB, gate), (3 * MIB, None))
    other.on["GET blob"] = by_range
    one = await gateways.start({"hub": registry}, delivery={"patience": "1h"})
    two = await gateways.start({"hub": other}, delivery={"patience": "1h"})
    leading = asyncio.create_task(one.get(PATH))
    await gate.reached()
    following = asyncio.create_task(two.get(PATH))
    await until(lambda: two.metric("apprproxy_flights") == 1)
    gate.open()
    failed, answer = await leading, await following

    assert 502 == failed.status
    assert (200, BLOB) == (answer.status, answer.body)


async def test_of_another_gateways_file_no_more_is_believed_than_when_it_was_told_whose_it_is(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror goes on where the owner broke off, and is not to be trusted."""
    monkeypatch.setattr("apprproxy.gateway.flights.flights.LOOK_AGAIN", 0.5)
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    leader = await gateways.start({"hub": registry})
    await gateway.head(PATH)
    claim = await leader.app.disk.claim(Expected(Digest.parse(digest(BLOB))))
    assert claim.partial is not None
    await claim.partial.begins("hub", "owner", SIZE)
    await claim.partial.write(BLOB[:MIB])
    await claim.partial.begins("hub", "owner", SIZE)
    async with gateway.session.get(gateway.url + PATH) as response:
        begun = await response.content.readexactly(MIB // 2)
        await claim.partial.begins("hub", "mirror-1", SIZE)
        await claim.partial.write(bytes(MIB))
        await claim.partial.leave(keep=False)
        with suppress(aiohttp.ClientPayloadError):
            while piece := await response.content.read(MIB):
                begun += piece
        await gateway.at_rest()

    assert BLOB.startswith(begun)


async def test_a_gateway_that_was_suspended_half_way_is_not_waited_for_without_end(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock of the file, and does not write: a paused container."""
    monkeypatch.setattr("apprproxy.gateway.flights.guest.STANDS_STILL", 0.3)
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    suspended = await gateways.start({"hub": registry})
    claim = await suspended.app.disk.claim(Expected(Digest.parse(digest(BLOB))))
    assert claim.partial is not None
    try:
        got = await gateway.get(PATH)
        await gateway.at_rest()
    finally:
        await claim.partial.leave(keep=False)

    assert (200, BLOB) == (got.status, got.body)
    assert [digest(BLOB)] == gateway.blobs, "it has a file of its own"
