"""A name is fresh, then revalidated by one question however many ask, and a client may ask for that."""

import asyncio
import os
import threading
from dataclasses import replace

import pytest

from tests.fakes import lies
from tests.fakes.clock import PATIENCE, START, Clock, Gate, until
from tests.fakes.content import digest, oci_error
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"


async def test_a_fresh_name_is_served_without_asking(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s")})
    first = await gateway.get(TAG)
    asked = registry.count()
    clock.advance(59)
    again = await gateway.get(TAG)

    assert (200, content, "fwd=uri-miss; stored") == (first.status, first.body, first.cache)
    assert (200, content, "hit; ttl=1") == (again.status, again.body, again.cache)
    assert "59" == again.headers["Age"]
    assert asked == registry.count()


async def test_what_was_fresh_is_revalidated_by_a_single_head(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s")})
    await gateway.get(TAG)
    asked = registry.count()
    clock.advance(61)
    again = await gateway.get(TAG)
    soon = await gateway.get(TAG)

    assert (200, content, "fwd=stale; fwd-status=200; stored") == (again.status, again.body, again.cache)
    assert "hit; ttl=60" == soon.cache
    assert "0" == soon.headers["Age"]
    assert asked + 1 == registry.count()
    assert "HEAD" == registry.seen[-1].method


async def test_a_name_that_is_confirmed_points_there_since_it_first_did(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    for _ in range(2):
        await gateway.get(TAG)
        clock.advance(3600)
    record = await gateway.app.names.get("hub", "tag library/app 1.0")

    assert record is not None
    assert (START, START + 3600) == (record.since, record.checked)


async def test_a_tag_that_was_pushed_again_is_followed(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"old")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s")})
    old = await gateway.get(TAG)
    new = registry.push("library/app", "1.0", b"new")
    held = await gateway.get(TAG)
    clock.advance(61)
    followed = await gateway.get(TAG)

    assert old.body == held.body
    assert new == followed.body
    assert 1 == gateway.metric("apprproxy_moved_names_total", upstream="hub")


async def test_a_tag_that_must_not_move_stays(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    old = registry.push("library/app", "1.0", b"old")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s", moved="refuse")})
    await gateway.get(TAG)
    registry.push("library/app", "1.0", b"new")
    clock.advance(61)
    held = await gateway.get(TAG)

    assert (200, old) == (held.status, held.body)
    assert 1 == gateway.metric("apprproxy_moved_names_total", upstream="hub")


async def test_no_cache_revalidates_at_most_once_a_second(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"old")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="1h")})
    await gateway.get(TAG)
    asked = registry.count("HEAD tag")
    clock.advance(1.5)
    new = registry.push("library/app", "1.0", b"new")
    first = await gateway.get(TAG, Cache_Control="no-cache")
    clock.advance(0.5)
    more = [await gateway.get(TAG, Cache_Control="no-cache") for _ in range(5)]

    assert new == first.body
    assert {"hit; ttl=3599"} == {answer.cache for answer in more}
    assert asked + 1 == registry.count("HEAD tag")


async def test_one_question_per_name_however_many_ask(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gate = Gate()
    registry.on["HEAD tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    asking = [asyncio.create_task(gateway.get(TAG)) for _ in range(50)]
    await gate.reached()
    gate.open()
    answers = await asyncio.gather(*asking)

    assert {(200, content)} == {(answer.status, answer.body) for answer in answers}
    assert 1 == registry.count("HEAD tag")
    assert 1 == registry.count("GET manifest")
    assert 1 == sum(answer.cache == "fwd=uri-miss; stored" for answer in answers)


async def test_one_revalidation_however_many_ask(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    old = registry.push("library/app", "1.0", b"old")
    gateway = await gateways.start({"hub": oci(registry, timeouts={"revalidate": "4s"})})
    await gateway.get(TAG)
    asked = registry.count("HEAD tag")
    gate = Gate()
    registry.on["HEAD tag"] = lies.waiting_for(gate)
    clock.advance(61)
    first = asyncio.create_task(gateway.get(TAG))
    await gate.reached()
    others = await asyncio.gather(*(gateway.get(TAG) for _ in range(20)))
    gate.open()

    assert {(200, old, "hit; ttl=-1")} == {(other.status, other.body, other.cache) for other in others}
    assert "fwd=stale; fwd-status=200; stored" == (await first).cache
    assert asked + 1 == registry.count("HEAD tag")


async def test_a_slow_upstream_is_waited_for_behind_a_stale_answer(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    old = registry.push("library/app", "1.0", b"old")
    gateway = await gateways.start({"hub": oci(registry, timeouts={"revalidate": "50ms"})})
    await gateway.get(TAG)
    gate = Gate()
    registry.on["HEAD tag"] = lies.waiting_for(gate)
    new = registry.push("library/app", "1.0", b"new")
    clock.advance(61)
    stale = await gateway.get(TAG)
    gate.open()
    async with asyncio.timeout(PATIENCE):
        while (landed := await gateway.get(TAG)).body == old:
            pass

    assert (200, old, "hit; ttl=-1; detail=upstream-slow") == (stale.status, stale.body, stale.cache)
    assert (new, "hit; ttl=60") == (landed.body, landed.cache)


async def test_a_client_that_leaves_does_not_end_the_question(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gate = Gate()
    registry.on["HEAD tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    leaver = asyncio.create_task(gateway.get(TAG))
    await gate.reached()
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    stayer = asyncio.create_task(gateway.get(TAG))
    gate.open()

    assert content == (await stayer).body
    assert 1 == registry.count("HEAD tag")


async def test_a_name_is_written_when_its_manifest_is_durable(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    syncing, may_sync, sync = threading.Event(), threading.Event(), os.fsync

    def slow_sync(fd: int) -> None:
        syncing.set()
        may_sync.wait(5)
        sync(fd)

    monkeypatch.setattr(os, "fsync", slow_sync)
    asking = asyncio.create_task(gateway.get(TAG))
    await until(syncing.is_set)
    await asyncio.wait([asking], timeout=0.1)
    early = await gateway.app.names.get("hub", "tag library/app 1.0")
    may_sync.set()

    assert early is None
    assert content == (await asking).body


async def test_a_tag_is_no_reason_to_ask_whether_its_repository_has_the_manifest(
    registry: Registry, gateways: Gateways
) -> None:
    for repository in ("library/app", "library/copy"):
        registry.push(repository, "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(TAG)
    await gateway.at_rest()
    registry.seen.clear()
    got = await gateway.get("/v2/hub/library/copy/manifests/1.0")

    assert (200, ["HEAD tag"]) == (got.status, [f"{seen.method} {seen.kind}" for seen in registry.seen])


# --- a write while a question is under way


async def test_whoever_asks_after_a_write_does_not_join_a_question_of_before_it(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"layer")
    gate = Gate()
    registry.on["tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    asking = [asyncio.create_task(gateway.get(TAG))]
    await gate.reached()
    await gateway.app.names.written("hub", "library/app")
    asking.append(asyncio.create_task(gateway.get(TAG)))
    await gate.reached(2)
    gate.open()

    assert [200, 200] == [got.status for got in await asyncio.gather(*asking)]


async def test_what_was_asked_before_a_write_is_not_said_to_be_stored(registry: Registry, gateways: Gateways) -> None:
    content, gate = registry.push("library/app", "1.0", b"layer"), Gate()
    registry.on["tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(TAG))
    await gate.reached()
    await gateway.app.names.written("hub", "library/app")
    gate.open()
    before, after = await asking, await gateway.get(TAG)

    assert content == before.body == after.body
    assert ["apprproxy; fwd=uri-miss; detail=unkept", "apprproxy; fwd=uri-miss; stored"] == [
        got.headers["Cache-Status"] for got in (before, after)
    ]


async def test_a_no_of_before_a_write_is_not_remembered(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["tag"] = lies.waiting_for(gate, lies.says(404, oci_error("MANIFEST_UNKNOWN")))
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(TAG))
    await gate.reached()
    registry.push("library/app", "1.0", b"layer")
    await gateway.app.names.written("hub", "library/app")
    gate.open()
    before = await asking
    registry.on.clear()
    after = await gateway.get(TAG)

    assert (404, 200) == (before.status, after.status)


async def test_what_was_told_before_it_was_written_down_to_whom_counts_for_names_alone(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"layer")
    blob, names = f"/v2/library/app/blobs/{digest(b'layer')}", list[str]()
    gateway = await gateways.start({"hub": registry})
    for path in (TAG, blob):
        await gateway.head(path)
    for upstream, key, record in [*gateway.app.names.all_names()]:
        names.append(key.partition(" ")[0])
        generation = gateway.app.names.generation(upstream)
        await gateway.app.names.put(upstream, key, replace(record, told=""), generation)
    await gateway.close()
    offline = await gateways.start({"hub": registry}, offline=True)

    assert {"tag", "presence"} == {*names}
    assert [200, 504] == [(await offline.head(path)).status for path in (TAG, blob)]
