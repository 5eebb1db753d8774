"""Two gateways that are mirrors of each other give what they hold, and fetch nothing for one another: neither waits for
the other to ask it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from apprproxy.core.ports.upstream import Reply
from apprproxy.gateway.members.sibling import Sibling
from apprproxy.oci.mirror import OciMirror
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.upstream import running
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.ranged import stopping_at
from tests.fakes.registry import Registry
from tests.outages.line import Line

LAYER = some_bytes(300_000)
PATH = f"/v2/hub/library/app/blobs/{digest(LAYER)}"
ONLY_HELD = {"Cache_Control": "max-age=9, Only-If-Cached"}


@pytest.fixture
async def pair(registry: Registry, gateways: Gateways) -> AsyncIterator[tuple[Running, Running]]:
    line = Line()
    await line.open()
    one = await gateways.start({"hub": oci(registry, mirrors=[sibling(f"http://127.0.0.1:{line.port}")])}, "one")
    other = await gateways.start({"hub": oci(registry, mirrors=[sibling(one.url)])}, "other")
    line.leads_to(other.url)
    yield one, other
    await line.close()


def sibling(url: str) -> dict[str, object]:
    return {"url": f"{url}/hub", "sibling": True}


def available(gateway: Running) -> float:
    return gateway.metric("apprproxy_upstream_available", upstream="hub", source="mirror-1")


async def test_what_the_other_holds_is_had_from_there(pair: tuple[Running, Running], registry: Registry) -> None:
    pushed = registry.push("library/app", "1", LAYER)
    for gateway in pair:
        for path in (f"/v2/hub/library/app/manifests/{digest(pushed)}", PATH):
            assert 200 == (await gateway.get(path)).status
        await gateway.at_rest()

    assert (1, 1) == (registry.count("GET blob"), registry.count("GET manifest"))
    assert len(LAYER + pushed) <= pair[1].metric("apprproxy_upstream_bytes_total", source="mirror-1")


async def test_what_neither_holds_is_asked_of_the_owner_by_both(
    pair: tuple[Running, Running], registry: Registry
) -> None:
    """At once: each has begun to fetch it when the other asks."""
    registry.add_blob("library/app", LAYER)
    gate = Gate()
    registry.on["GET blob"] = stopping_at((100_000, gate))
    asking = [asyncio.create_task(gateway.get(PATH)) for gateway in pair]
    await gate.reached(2)
    gate.open()

    assert [(200, LAYER)] * 2 == [(got.status, got.body) for got in await asyncio.gather(*asking)]


async def test_one_that_does_not_hold_it_is_as_well_as_before(
    pair: tuple[Running, Running], registry: Registry
) -> None:
    for number in range(5):
        layer = some_bytes(1000 + number)
        registry.add_blob("library/app", layer)
        assert 200 == (await pair[0].get(f"/v2/hub/library/app/blobs/{digest(layer)}")).status
        assert [1, 1] == [available(gateway) for gateway in pair]

    assert 5 == pair[0].metric("apprproxy_upstream_requests_total", source="mirror-1", status="504")


BEYOND = {"proxy-status": "apprproxy"}


@pytest.mark.parametrize(
    ("status", "fields", "said"),
    [(504, BEYOND, "does not hold it"), (504, {}, "answered 504"), (502, BEYOND, "answered 502")],
)
def test_what_does_not_hold_it_is_told_as_that(status: int, fields: dict[str, str], said: str) -> None:
    fault = Sibling(OciMirror("mirror-1")).judge(Reply(status, fields, b"{}"))

    assert fault is not None
    assert fault.sentence.startswith(said)


@pytest.mark.parametrize(("status", "is_sibling", "well"), [(504, True, 1), (502, True, 0), (504, False, 0)])
async def test_one_that_fails_is_told_from_one_that_does_not_hold_it(
    status: int, is_sibling: bool, well: int, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LAYER)
    other.on["blob"] = lies.says(status, b"", Proxy_Status="apprproxy")
    mirror = {"url": other.url, "sibling": is_sibling}
    gateway = await gateways.start({"hub": oci(registry, mirrors=[mirror])})

    assert 200 == (await gateway.get(PATH)).status
    assert well == available(gateway)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_whoever_asks_for_what_is_held_alone_has_nobody_asked(
    method: str, registry: Registry, gateways: Gateways
) -> None:
    """RFC 9111, section 5.2.1.7."""
    pushed = registry.push("library/app", "1", LAYER)
    paths = (PATH, f"/v2/hub/library/app/manifests/{digest(pushed)}")
    gateway = await gateways.start({"hub": registry})
    before = [(await gateway.ask(method, path, **ONLY_HELD)).status for path in paths]
    asked = registry.count()
    for path in paths:
        await gateway.get(path)
    await gateway.at_rest()
    after = [(await gateway.ask(method, path, **ONLY_HELD)).status for path in paths]

    assert ([504, 504], 0, [200, 200]) == (before, asked, after)


async def test_what_is_not_held_is_no_failure_of_ours(logged: Logged, registry: Registry, gateways: Gateways) -> None:
    """Each cold pull of its sibling is answered so: an alert on 5xx would stand for ever."""
    gateway = await gateways.start({"hub": registry})
    assert 504 == (await gateway.get(PATH, **ONLY_HELD)).status
    await until(lambda: "only-if-cached" in logged.text)
    [line] = [line for line in map(json.loads, logged.text.splitlines()) if line["event"] == "request"]

    assert ("info", 504, "not-held") == (line["level"], line["status"], line["outcome"])
    assert [0, 1] == [gateway.metric("apprproxy_requests_total", status=status) for status in ("504", "not-held")]


async def test_any_other_failure_is_told_as_such(registry: Registry, gateways: Gateways) -> None:
    online = await gateways.start({"hub": registry}, "online")
    offline = await gateways.start({"hub": registry}, "offline", offline=True)
    assert 404 == (await online.get("/v2/hub/library/app/manifests/none", **ONLY_HELD)).status
    assert 504 == (await offline.get(PATH)).status

    await until(lambda: online.metric("apprproxy_requests_total", status="404") == 1)
    await until(lambda: offline.metric("apprproxy_requests_total", status="504") == 1)


async def test_so_it_is_with_packages(gateways: Gateways) -> None:
    tar = chart("1.0.0")
    path = f"/cnr/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(tar).hex}"
    async with running() as upstream:
        upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(tar))
        quay = {"kind": "appr", "url": upstream.url}
        one = await gateways.start({"quay": quay}, "one")
        other = await gateways.start(
            {"quay": {**quay, "mirrors": [{"url": f"{one.url}/quay", "sibling": True}]}}, "other"
        )
        before = await one.get(f"/quay{path}", **ONLY_HELD)
        asked = upstream.count()
        await one.get(f"/quay{path}")
        await one.at_rest()
        got = await other.get(f"/quay{path}")

    assert (504, 0, 200) == (before.status, asked, got.status)
    assert 1 == upstream.count("/blobs/")
