"""At most one transfer per digest, however many ask; a leaver ends only its own wait; failure is not shared."""

import asyncio
import os
import sqlite3
import threading

import pytest

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry

MIB = 1024 * 1024
BLOB = some_bytes(1_500_000)
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"


async def test_many_cold_pulls_of_one_blob_are_one_upstream_get(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry})
    asking = [asyncio.create_task(gateway.get(PATH)) for _ in range(64)]
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 63)
    gate.open()
    answers = await asyncio.gather(*asking)
    await gateway.at_rest()

    assert {(200, BLOB)} == {(answer.status, answer.body) for answer in answers}
    assert 1 == registry.count("GET blob")
    assert [digest(BLOB)] == gateway.blobs
    assert 63 == sum("collapsed" in answer.cache for answer in answers)


async def test_what_is_held_is_not_asked_for_again(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    cold = await gateway.get(PATH)
    warm = await gateway.get(PATH)
    await gateway.at_rest()
    await registry.stop()
    alone = await gateway.get(PATH)

    assert ("fwd=uri-miss; stored", "hub") == (cold.cache, cold.headers["Apprproxy-Upstream"])
    assert "hit" == alone.cache
    assert {(200, BLOB)} == {(answer.status, answer.body) for answer in (cold, warm, alone)}
    assert 1 == registry.count()


async def test_the_first_client_may_leave(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry})
    leader = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    follower = asyncio.create_task(gateway.get(PATH))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    gate.open()

    assert BLOB == (await follower).body
    assert 1 == registry.count()


async def test_a_fill_that_everybody_left_is_finished(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry})
    alone = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    gate.open()
    await gateway.at_rest()

    assert [digest(BLOB)] == gateway.blobs


async def test_a_follower_in_another_repository_does_not_get_the_leaders_404(
    registry: Registry, gateways: Gateways
) -> None:
    wanted = registry.add_blob("library/good", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.in_turn(lies.waiting_for(gate), lies.honestly)
    gateway = await gateways.start({"hub": registry})
    leader = asyncio.create_task(gateway.get(f"/v2/hub/library/bad/blobs/{wanted}"))
    await gate.reached()
    follower = asyncio.create_task(gateway.get(f"/v2/hub/library/good/blobs/{wanted}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()

    assert 404 == (await leader).status
    assert (200, BLOB) == ((await follower).status, (await follower).body)


async def test_what_broke_off_is_gone_on_with_for_everybody_in_whichever_name(
    registry: Registry, gateways: Gateways
) -> None:
    """Two images with the same layer, and a line that breaks once."""
    gate = Gate()
    for repository in ("library/app", "library/other"):
        wanted = registry.add_blob(repository, BLOB)
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, gate), (MIB, None)), by_range)
    gateway = await gateways.start({"hub": registry})
    first = asyncio.create_task(gateway.get(PATH))
    await until(lambda: gateway.arrived() == MIB)
    second = asyncio.create_task(gateway.get(f"/v2/hub/library/other/blobs/{wanted}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    answers = await asyncio.gather(first, second)

    assert [(200, BLOB)] * 2 == [(got.status, got.body) for got in answers]


async def test_a_follower_in_another_repository_may_fail_where_the_leader_succeeds(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    wanted = registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.cut_off(1000)
    other.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "other": other})
    leader = asyncio.create_task(gateway.get(f"/v2/other/library/app/blobs/{wanted}"))
    await gate.reached()
    follower = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()

    assert 404 == (await leader).status
    assert 502 == (await follower).status


async def test_a_failure_is_not_remembered_against_the_next(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = lies.in_turn(lies.says(500), lies.honestly)
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(PATH)).status
    assert 200 == (await gateway.get(PATH)).status


async def test_head_of_a_cold_blob_transfers_nothing(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    cold = await gateway.head(PATH)
    again = await gateway.head(PATH)

    assert (200, str(len(BLOB))) == (cold.status, cold.headers["Content-Length"])
    assert digest(BLOB) == cold.headers["Docker-Content-Digest"]
    assert 200 == again.status
    assert 1 == registry.count("HEAD blob") == registry.count()
    assert [] == gateway.blobs


async def test_what_was_served_a_moment_ago_is_held(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    may_sync, sync = threading.Event(), os.fsync

    def slow_sync(fd: int) -> None:
        may_sync.wait(5)
        sync(fd)

    monkeypatch.setattr(os, "fsync", slow_sync)
    cold = await gateway.get(PATH)
    await registry.stop()
    head, again = await gateway.head(PATH), await gateway.get(PATH, Range="bytes=5-9")
    still = gateway.blobs
    may_sync.set()

    assert (200, 200, 206) == (cold.status, head.status, again.status)
    assert BLOB[5:10] == again.body
    assert [] == still


async def test_what_was_served_a_moment_ago_outlives_a_gateway_that_stops(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.rest_then(gate, 1000)
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    await until(lambda: gateway.arrived() > 1_000_000)
    index = sqlite3.connect(gateway.cache / "index.db", isolation_level=None)
    index.execute("BEGIN IMMEDIATE")  # another gateway is at it: what is known of the blob cannot be written down yet
    gate.open()
    served = await asking
    stopping = asyncio.create_task(gateway.close())
    await asyncio.wait([stopping], timeout=0.3)
    index.close()
    await stopping

    assert (200, BLOB) == (served.status, served.body)
    assert [digest(BLOB)] == gateway.blobs
