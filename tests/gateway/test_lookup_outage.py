"""While its owner cannot be asked, a name is served as it was, for as long as the terms allow."""

import asyncio
import json
from typing import Any

import pytest

from tests.fakes import lies
from tests.fakes.clock import Clock, Gate
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.listening import dead_end
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
SOON = {"revalidate": "100ms"}
"""For an upstream that stalls; whoever answers has the time that it takes, however busy the machine is."""


async def held(registry: Registry, gateways: Gateways, **keys: Any) -> tuple[Running, bytes]:
    """A gateway that holds the tag, and its manifest."""
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s", stale_for="1h", missing_for="10s", **keys)})
    assert (await gateway.get(TAG)).body == content
    return gateway, content


@pytest.mark.parametrize(
    ("failing", "cache"),
    [
        (lies.says(500), "fwd=stale; fwd-status=500; detail=stale-if-error"),
        (lies.says(503, Retry_After="5"), "fwd=stale; fwd-status=503; detail=stale-if-error"),
        (lies.says(429), "fwd=stale; fwd-status=429; detail=stale-if-error"),
        (lies.page(404), "fwd=stale; fwd-status=404; detail=stale-if-error"),
        (lies.page(200), "fwd=stale; fwd-status=200; detail=stale-if-error"),
        (lies.hangs_up, "fwd=stale; detail=stale-if-error"),
    ],
    ids=["500", "503", "429", "HTML 404", "HTML 200", "hangs up"],
)
async def test_the_last_answer_stands_in_while_the_upstream_fails(
    registry: Registry, gateways: Gateways, clock: Clock, failing: Behaviour, cache: str
) -> None:
    gateway, content = await held(registry, gateways)
    registry.on["tag"] = failing
    clock.advance(61)
    stale = await gateway.get(TAG)

    assert (200, content) == (stale.status, stale.body)
    assert "61" == stale.headers["Age"]
    assert cache == stale.cache


async def test_the_last_answer_stands_in_while_the_upstream_is_down(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await held(registry, gateways)
    await registry.stop()
    clock.advance(61)
    stale = await gateway.get(TAG)

    assert (200, content, "fwd=stale; detail=stale-if-error") == (stale.status, stale.body, stale.cache)


async def test_a_failed_refresh_is_not_repeated_at_once(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.says(500)
    clock.advance(61)
    asked = registry.count()
    for _ in range(5):
        assert (await gateway.get(TAG)).status == 200
    soon = registry.count()
    clock.advance(11)
    await gateway.get(TAG)

    assert asked + 1 == soon
    assert asked + 2 == registry.count()


async def test_beyond_stale_for_the_outage_is_told(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.says(500)
    clock.advance(60 + 3600 + 1)
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "hub: answered 500" in failed.message


async def test_what_is_too_old_comes_back_with_its_upstream(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await held(registry, gateways)
    registry.on["tag"] = lies.says(500)
    clock.advance(60 + 3600 + 1)
    await gateway.get(TAG)
    registry.on.clear()

    assert content == (await gateway.get(TAG)).body


async def test_a_stalled_upstream_with_nothing_held_is_too_slow(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.push("library/app", "1.0", b"layer")
    registry.on["tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, timeouts={"name": "200ms"})})
    failed = await gateway.get(TAG)

    assert (504, "UNAVAILABLE") == (failed.status, failed.code)


async def test_starting_needs_no_upstream(gateways: Gateways) -> None:
    async with dead_end() as nowhere:
        gateway = await gateways.start({"hub": {"url": nowhere}})
        failed = await gateway.get(TAG)

        assert 200 == (await gateway.get("/readyz")).status
        assert 200 == (await gateway.get("/v2/")).status
        assert (502, "UNAVAILABLE") == (failed.status, failed.code)
        assert "hub: no connection" in failed.message


async def test_what_is_held_outlives_a_restart_without_upstream(registry: Registry, gateways: Gateways) -> None:
    gateway, content = await held(registry, gateways)
    await gateway.close()
    await registry.stop()
    again = await gateways.start({"hub": registry})

    assert content == (await again.get(TAG)).body


async def test_offline_serves_at_any_age_and_asks_nobody(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway, content = await held(registry, gateways)
    await gateway.close()
    asked = registry.count()
    clock.advance(365 * 86400)
    offline = await gateways.start({"hub": registry}, offline=True)
    answer = await offline.get(TAG, Cache_Control="no-cache")

    assert (200, content) == (answer.status, answer.body)
    assert asked == registry.count()


@pytest.mark.parametrize(
    "path",
    ["library/app/manifests/2.0", f"library/app/blobs/sha256:{'0' * 64}", f"library/app/manifests/sha256:{'0' * 64}"],
)
async def test_offline_a_miss_is_504_and_asks_nobody(registry: Registry, gateways: Gateways, path: str) -> None:
    gateway = await gateways.start({"hub": registry}, offline=True)
    missed = await gateway.get(f"/v2/hub/{path}")
    headed = await gateway.head(f"/v2/hub/{path}")

    assert (504, "UNAVAILABLE") == (missed.status, missed.code)
    assert 504 == headed.status
    assert 0 == registry.count()


async def test_one_refresh_at_a_time_while_the_upstream_stalls(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await held(registry, gateways, timeouts=SOON)
    asked = registry.count()
    registry.on["tag"] = lies.waiting_for(Gate())
    clock.advance(61)
    answers = await asyncio.gather(*(gateway.get(TAG) for _ in range(20)))

    assert {(200, content)} == {(answer.status, answer.body) for answer in answers}
    assert asked + 1 == registry.count()


async def test_who_waits_for_one_of_our_own_connections_is_not_told_that_the_upstream_is_silent(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    gate = Gate()
    registry.on["tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, connections=1, timeouts={"name": "1s"})})
    first = asyncio.create_task(gateway.get(TAG))
    await gate.reached()
    second = await gateway.get(TAG.replace("1.0", "2.0"))
    gate.open()
    await first
    told = [line for line in map(json.loads, logged.text.splitlines()) if "2.0" in line.get("name", "")]

    assert (503, "hub: all connections that we may have to it are in use") == (second.status, second.message)
    assert {"more is asked of an upstream than it has connections", "request"} == {line["event"] for line in told}
    assert {second.message} == {line["reason"] for line in told}
    assert not any("2.0" in seen.target for seen in registry.seen)
