"""Why a pull took long can be told from the log and the metrics: whom it waited for, and how long."""

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

import pytest
from aiohttp import web

from apprproxy.core.events import Asked
from apprproxy.core.model import Record
from apprproxy.ops.journal import SLOW, Journal
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.blobs.partial import claim
from apprproxy.store.names.names import DiskNames
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range
from tests.fakes.registry import Registry

T = TypeVar("T")

MIB = 1024 * 1024
BLOB = some_bytes(1_500_000)
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"


def lines(logged: Logged, event: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in logged.text.splitlines()]
    return [line for line in every if line["event"] == event]


async def test_a_pull_says_whom_it_tried(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    other.on["blob"] = lies.page(503)
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await gateway.get(PATH)
    await gateway.get(PATH)
    await until(lambda: len(lines(logged, "request")) == 2)
    cold, warm = lines(logged, "request")

    *_, mirror, owner = cold["tried"].split("; ")
    assert mirror.startswith("hub mirror-1 0.")
    assert "answered 503" in mirror
    assert owner.startswith("hub 0.")
    assert owner.endswith(" s: sent it")
    assert "tried" not in warm


async def test_a_pull_that_fails_says_whom_it_tried(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.on["GET blob"] = lies.page(500)
    other.on["blob"] = lies.page(503)
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await gateway.get(PATH)
    await until(lambda: len(lines(logged, "request")) == 1)
    (failed,) = lines(logged, "request")

    assert 502 == failed["status"]
    tried = [one.partition(" 0.")[0] for one in failed["tried"].split("; ")]
    assert ["hub mirror-1", "hub"] == [one for one in tried if one.startswith("hub")], "beside what a busy machine adds"


async def test_a_source_is_spelt_as_in_all_other_lines(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.add_blob("library/app", b"not in the mirror")
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await gateway.get(PATH)
    await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'not in the mirror')}")
    await until(lambda: len(lines(logged, "request")) == 2)

    assert ["mirror-1", "owner"] == [line["source"] for line in lines(logged, "request")]


async def test_another_process_is_no_source(logged: Logged, registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.rest_then(gate := Gate(), len(BLOB) - 1000)
    one, two = [await gateways.start({"hub": registry}) for _ in range(2)]
    leads = asyncio.create_task(one.get(PATH))
    await gate.reached()
    follows = asyncio.create_task(two.get(PATH))
    await until(lambda: two.metric("apprproxy_flights") == 1)
    await asyncio.sleep(0.1)
    gate.open()
    await asyncio.gather(leads, follows)
    await until(lambda: len(lines(logged, "request")) == 2)

    assert ["miss", "miss"] == [line["cache"] for line in lines(logged, "request")]
    assert ["", "owner"] == sorted(line.get("source", "") for line in lines(logged, "request"))


async def test_who_is_not_asked_for_a_while_is_not_told_with_each_pull(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    contents = [some_bytes(1000, seed=f"{number} ") for number in range(2)]
    for content in contents:
        registry.add_blob("library/app", content)
    other.on["blob"] = lies.page(503)
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    for content in contents:
        await gateway.get(f"/v2/hub/library/app/blobs/{digest(content)}")
    await until(lambda: len(lines(logged, "request")) == 2)

    assert [True, False] == ["hub mirror-1" in line.get("tried", "") for line in lines(logged, "request")]


async def test_a_question_before_the_transfer_is_told_too(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["HEAD blob"] = lies.late(0.2)
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await gateway.get(PATH)
    await until(lambda: len(lines(logged, "request")) == 1)
    (cold,) = lines(logged, "request")

    told = {one.partition(" 0.")[0] for one in cold["tried"].split("; ")}
    assert {"its size", "hub mirror-1"} <= told


def slowly(call: Callable[..., T]) -> Callable[..., T]:
    """As a disk that has much to do."""

    def called(*args: Any) -> T:
        time.sleep(0.2)
        return call(*args)

    return called


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What took a tenth of a second took long."""
    monkeypatch.setattr("apprproxy.ops.requests.SLOW", 0.1)


@pytest.mark.usefixtures("soon")
async def test_a_part_that_was_asked_for_aside_is_told_too(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    async def late(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return await by_range(request, honest)

    large = some_bytes(20 * MIB)
    registry.add_blob("library/app", large)
    registry.on["GET blob"] = late
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/library/app/blobs/{digest(large)}", Range=f"bytes={18 * MIB}-{18 * MIB + 9}")
    await until(lambda: len(lines(logged, "request")) == 1)
    (line,) = lines(logged, "request")

    assert ("bypass", "a part from hub") == (line["cache"], line["tried"].partition(" 0.")[0])
    assert line["tried"].endswith(" s: sent it")


@pytest.mark.usefixtures("soon")
async def test_what_a_held_blob_was_kept_back_for_is_told_too(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    for repository in ("library/app", "library/other"):
        registry.add_blob(repository, BLOB)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(PATH)
    await gateway.at_rest()
    registry.on["HEAD blob"] = lies.late(0.2)
    await gateway.get(PATH.replace("library/app", "library/other"))
    await until(lambda: len(lines(logged, "request")) == 2)
    line = lines(logged, "request")[-1]

    assert ("hit", "who has it") == (line["cache"], line["tried"].partition(" 0.")[0])


async def test_what_it_had_to_send_itself_is_not_told_as_a_question(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Behind a transfer that might have been everybody's, and came by another account: whether it has it is known soon,
    and then it sends it."""
    gate = Gate()
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.waiting_for(gate)
    other.on["GET blob"] = lies.late(0.3)
    account = oci(registry, auth={"username": "bot", "password": "s3cret"})
    async with Registry() as public:
        upstreams = {"public": oci(public), "hub": account, "other": oci(other)}
        gateway = await gateways.start(upstreams, views={"default": ["public", "hub"]})
        first = asyncio.create_task(gateway.get(PATH.replace("hub/", "")))
        await until(lambda: registry.count("GET blob") == 1)
        behind = asyncio.create_task(gateway.get(PATH.replace("hub", "other")))
        await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
        gate.open()
        await asyncio.gather(first, behind)
    await until(lambda: len(lines(logged, "request")) == 2)
    (line,) = (line for line in lines(logged, "request") if line["upstream"] == "other")
    told = dict(re.findall(r"(?:^|; )([^;]+?) ([\d.]+) s: ", line["tried"]))

    assert 0.3 <= float(told["other"])


async def waited_for_the_cache_and_not_for_hub(logged: Logged) -> None:
    """Its only request waited for the cache, and is told so."""
    await until(lambda: len(lines(logged, "request")) == 1)
    (line,) = lines(logged, "request")
    told = dict(re.findall(r"(?:^|; )([^;]+?) ([\d.]+) s: ", line["tried"]))

    assert 0.3 < float(told["the cache"])
    assert 0.3 > float(told["hub"])
    assert "owner" == line["source"]


@pytest.mark.usefixtures("soon")
async def test_what_the_cache_takes_for_itself_is_no_time_of_the_source(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    with closing(sqlite3.connect(gateway.cache / "index.db", isolation_level=None)) as another_process:
        another_process.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(gateway.get(PATH))
        await asyncio.sleep(0.5)
        another_process.execute("ROLLBACK")
    await asking

    await waited_for_the_cache_and_not_for_hub(logged)


@pytest.mark.usefixtures("soon")
async def test_what_the_cache_takes_amid_a_body_is_no_time_of_the_source(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.rest_then(gate := Gate(), len(BLOB) - 1000)
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    with closing(sqlite3.connect(gateway.cache / "index.db", isolation_level=None)) as another_process:
        await until(lambda: another_process.execute("SELECT 1 FROM members").fetchall() != [])
        another_process.execute("BEGIN IMMEDIATE")
        gate.open()
        await asyncio.sleep(0.5)
        another_process.execute("ROLLBACK")
    await asking

    await waited_for_the_cache_and_not_for_hub(logged)


@pytest.mark.usefixtures("soon")
async def test_a_disk_that_opens_slowly_is_told_of_a_transfer_and_of_what_is_held(
    logged: Logged, registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    with monkeypatch.context() as slow:
        slow.setattr("apprproxy.store.blobs.disk.claim", slowly(claim))
        await gateway.get(PATH)
    await gateway.at_rest()
    monkeypatch.setattr(DiskStore, "find_here", slowly(DiskStore.find_here))
    await gateway.get(PATH)
    await until(lambda: len(lines(logged, "request")) == 2)
    cold, warm = lines(logged, "request")

    assert "miss" == cold["cache"]
    assert re.search(r"the cache 0\.[2-9]\d s: took so long; hub ", cold["tried"])
    assert "hit" == warm["cache"]
    assert re.fullmatch(r"the cache 0\.[2-9]\d s: took so long", warm["tried"])


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("what", ["blobs", "names"])
async def test_a_disk_that_opens_slowly_is_not_told_as_a_question_to_owners(
    logged: Logged, registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    genuine = DiskNames.get

    async def get(names: DiskNames, upstream: str, key: str) -> Record | None:
        await asyncio.sleep(0.2)
        return await genuine(names, upstream, key)

    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    if what == "blobs":
        monkeypatch.setattr(DiskStore, "find_here", slowly(DiskStore.find_here))
    else:
        monkeypatch.setattr(DiskNames, "get", get)
    await gateway.get(PATH)
    await until(lambda: len(lines(logged, "request")) == 1)
    (line,) = lines(logged, "request")

    assert re.search(r"the cache 0\.[2-9]\d s: took so long", line["tried"])
    assert not re.search(r"(who has it|its size) 0\.[2-9]", line["tried"])


@pytest.mark.usefixtures("soon")
async def test_whom_a_tag_s_document_waited_for_is_told_too(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    body = registry.push("library/app", "1")
    registry.on["GET manifest"] = lies.headers_then(gate := Gate())
    one, two = [await gateways.start({"hub": registry}) for _ in range(2)]
    first = asyncio.create_task(one.get(f"/v2/hub/library/app/manifests/{digest(body)}"))
    await gate.reached()
    by_tag = asyncio.create_task(two.get("/v2/hub/library/app/manifests/1"))
    await until(lambda: registry.count("HEAD tag") == 1)
    await asyncio.sleep(0.3)
    gate.open()
    await asyncio.gather(first, by_tag)
    await until(lambda: len(lines(logged, "request")) == 2)
    (tag,) = [line for line in lines(logged, "request") if line["name"] == "library/app:1"]

    assert "another process 0." in tag["tried"]


@pytest.mark.usefixtures("soon")
async def test_a_client_that_gave_up_had_waited_for_somebody(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.waiting_for(gate := Gate())
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    await asyncio.sleep(0.2)
    asking.cancel()
    await until(lambda: len(lines(logged, "request")) == 1)
    (left,) = lines(logged, "request")
    gate.open()
    await gateway.at_rest()

    assert "client-left" == left["outcome"]
    assert re.search(r"hub 0\.\d+ s: still waited for$", left["tried"])


async def test_what_comes_after_the_header_is_told_apart_from_what_was_waited_for(
    logged: Logged, registry: Registry, gateways: Gateways
) -> None:
    """The client's own pace, or that of a source whose bytes are streamed."""
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.rest_then(gate, 1000)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    await gateway.head(PATH)
    async with gateway.session.get(gateway.url + PATH) as response:
        await gate.reached()
        await asyncio.sleep(0.2)
        gate.open()
        await response.read()
    await until(lambda: len(lines(logged, "request")) == 2)
    request = lines(logged, "request")[-1]
    waited = gateway.metric("apprproxy_request_wait_seconds_sum", kind="blob", cache="miss")
    whole = gateway.metric("apprproxy_request_seconds_sum", kind="blob", cache="miss")

    assert request["waited"] + 0.15 < request["seconds"]
    assert waited + 0.15 < whole


@pytest.mark.parametrize(("seconds", "told"), [(SLOW - 0.1, False), (SLOW + 0.5, True)])
def test_an_upstream_that_takes_long_to_answer_is_worth_a_line(logged: Logged, seconds: float, told: bool) -> None:
    Journal()(Asked("hub", "mirror-1", "manifest", "200", 9.0, 42, seconds))
    said = lines(logged, "an upstream took long to answer")

    assert told == bool(said)
    assert not told or ("hub", "mirror-1", "manifest", 1.5) == (
        said[0]["upstream"],
        said[0]["source"],
        said[0]["kind"],
        said[0]["seconds"],
    )


async def test_transfers_that_wait_their_turn_are_counted(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    contents = [some_bytes(1000, seed=f"{number} ") for number in range(5)]
    for content in contents:
        registry.add_blob("library/app", content)
    registry.on["GET blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, connections=2)})
    asking = [asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{digest(one)}")) for one in contents]
    await gate.reached(2)
    await until(lambda: gateway.metric("apprproxy_flights") == 5)
    waiting = gateway.metric("apprproxy_flights_waiting")
    gate.open()
    answers = await asyncio.gather(*asking)

    assert 3 == waiting
    assert contents == [answer.body for answer in answers]
    assert 0 == gateway.metric("apprproxy_flights_waiting")
