"""While its owner is away: what is held is served at once, what is not fails at once, and nobody is asked in vain."""

import asyncio
import statistics
import time

import pytest
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Clock, Gate
from tests.fakes.content import digest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry
from tests.gateway.mirrors import mirrored

TAG = "/v2/hub/library/app/manifests/1.0"
COLD = "/v2/hub/library/app/manifests/{}"
BLOB = f"/v2/hub/library/app/blobs/sha256:{'1' * 64}"


async def held(registry: Registry, gateways: Gateways) -> tuple[Running, bytes]:
    """A gateway that holds the tag 1.0, and its manifest."""
    content = registry.push("library/app", "1.0", b"layer")
    for number in range(3):
        registry.push("library/app", f"cold-{number}", b"layer", note=str(number))
    gateway = await gateways.start({"hub": oci(registry, missing_for="1h")})
    assert content == (await gateway.get(TAG)).body
    return gateway, content


async def break_it(gateway: Running) -> list[int]:
    """As many failures as the circuit takes."""
    return [(await gateway.get(COLD.format(f"cold-{number}"))).status for number in range(3)]


async def broken_while_held(registry: Registry, gateways: Gateways, clock: Clock) -> tuple[Running, bytes]:
    """What it holds is not fresh any more, and its owner hangs up."""
    gateway, content = await held(registry, gateways)
    registry.on["tag"] = lies.hangs_up
    clock.advance(61)
    await break_it(gateway)
    return gateway, content


def available(gateway: Running) -> float:
    return gateway.metric("apprproxy_upstream_available", upstream="hub", source="owner")


async def test_with_a_circuit_open_a_warm_answer_is_immediate_and_a_cold_one_fails_at_once(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await held(registry, gateways)
    registry.on["tag"] = lies.hangs_up
    failed = await break_it(gateway)
    asked = registry.count()
    began = time.perf_counter()
    cold, blob = await gateway.get(COLD.format("other")), await gateway.get(BLOB)
    spent = time.perf_counter() - began

    assert [502, 502, 502] == failed
    assert [(503, "UNAVAILABLE", "2")] * 2 == [
        (one.status, one.code, one.headers["Retry-After"]) for one in (cold, blob)
    ]
    assert "hub: is not asked for 1 more second: closed the connection" in cold.message
    assert asked == registry.count()
    assert spent < 1
    assert content == (await gateway.get(TAG)).body
    assert 0 == available(gateway)


async def test_what_is_stale_is_served_without_asking_while_the_circuit_is_open(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await broken_while_held(registry, gateways, clock)
    asked = registry.count()
    answers, spent = [], []
    for _ in range(20):
        began = time.perf_counter()
        answers.append(await gateway.get(TAG))
        spent.append(time.perf_counter() - began)

    assert {(200, content, "fwd=stale; detail=stale-if-error")} == {
        (one.status, one.body, one.cache) for one in answers
    }
    assert asked == registry.count()
    assert statistics.median(spent) < 0.05


async def test_without_a_listener_three_asks_open_the_circuit(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await held(registry, gateways)
    await registry.stop()
    clock.advance(61)
    failed = await break_it(gateway)
    cold, stale = await gateway.get(COLD.format("other")), await gateway.get(TAG)

    assert [502, 502, 502] == failed
    assert (503, "2") == (cold.status, cold.headers["Retry-After"])
    assert (200, content) == (stale.status, stale.body)


async def test_a_name_that_met_a_shut_circuit_is_refreshed_as_soon_as_it_opens(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, _ = await broken_while_held(registry, gateways, clock)
    await gateway.get(TAG)
    registry.on.clear()
    moved = registry.push("library/app", "1.0", b"layer", note="moved")
    clock.advance(1)
    async with asyncio.timeout(PATIENCE):  # whoever looks whether it is back is given what is stale meanwhile
        while (await gateway.get(TAG)).body != moved:
            await asyncio.sleep(0.01)

    assert 1 == available(gateway)


async def test_who_looks_whether_it_is_back_is_told_nothing_of_a_slow_upstream(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, content = await broken_while_held(registry, gateways, clock)
    gate = Gate()
    registry.on["tag"] = lies.waiting_for(gate)
    clock.advance(1)
    stale = await gateway.get(TAG)
    gate.open()

    assert (200, content, "hit; ttl=-2") == (stale.status, stale.body, stale.cache)


async def test_after_its_time_one_probe_goes_out(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.hangs_up
    await break_it(gateway)
    gate = Gate()
    registry.on["tag"] = lies.waiting_for(gate)
    asked = registry.count()
    clock.advance(1)
    probe = asyncio.create_task(gateway.get(COLD.format("cold-0")))
    await gate.reached()
    others = await asyncio.gather(*(gateway.get(COLD.format(f"x-{number}")) for number in range(10)))
    while_probing = registry.count()
    gate.open()
    answered = await probe
    registry.on.clear()
    after = [(await gateway.get(COLD.format(f"cold-{number}"))).status for number in range(3)]

    assert {503} == {one.status for one in others}
    assert asked + 1 == while_probing
    assert 200 == answered.status
    assert [200, 200, 200] == after


async def test_a_failed_probe_shuts_it_for_twice_as_long(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.hangs_up
    await break_it(gateway)
    clock.advance(1)
    probe, next_one = await gateway.get(COLD.format("cold-0")), await gateway.get(COLD.format("cold-1"))

    assert 502 == probe.status
    assert (503, "3") == (next_one.status, next_one.headers["Retry-After"])


async def test_a_lookup_that_runs_out_of_time_is_trouble(registry: Registry, gateways: Gateways) -> None:
    registry.on["tag"] = lies.waiting_for(Gate())
    gateway = await gateways.start({"hub": oci(registry, timeouts={"name": "200ms"})})
    statuses = [(await gateway.get(COLD.format(f"cold-{number}"))).status for number in range(4)]

    assert [504, 504, 504, 503] == statuses


@pytest.mark.parametrize("status", [429, 500])
async def test_a_list_that_always_fails_shuts_no_registry_out(
    registry: Registry, gateways: Gateways, status: int
) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["catalog"] = lies.says(status)
    for _ in range(5):
        await gateway.get("/v2/hub/_catalog")

    assert 200 == (await gateway.get(COLD.format("cold-0"))).status


async def test_an_owner_that_says_when_to_come_back_is_left_alone_until_then(
    logged: Logged, registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.says(429, Retry_After="5")
    asked = registry.count()
    first = await gateway.get(COLD.format("x-0"))
    rest = [await gateway.get(COLD.format(f"x-{number}")) for number in range(20)]
    once = registry.count()
    clock.advance(5)
    await gateway.get(COLD.format("y-0"))

    assert (asked + 1, asked + 2) == (once, registry.count())
    assert {(503, "6")} == {(got.status, got.headers["Retry-After"]) for got in (first, *rest)}
    assert "hub: answered 429, to come back in 5 s" == first.message
    assert '"reason": "hub: answered 429, to come back in 5 s"' in logged.text
    assert 2 == gateway.metric("apprproxy_upstream_requests_total", status="429")


async def test_a_minute_is_the_longest_that_an_owner_is_left_alone_since_it_says_so(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.says(429, Retry_After="86400")
    await gateway.get(COLD.format("x-0"))
    registry.on.clear()
    clock.advance(60)

    assert 200 == (await gateway.get(COLD.format("cold-0"))).status


async def test_429_for_documents_leaves_the_blobs_of_the_repository_alone(
    registry: Registry, gateways: Gateways
) -> None:
    """Some count only those."""
    registry.push("library/app", "1.0", b"layer")
    registry.on["tag"] = lies.says(429, Retry_After="60")
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get(TAG)
    blob = await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'layer')}")

    assert (503, 200) == (refused.status, blob.status)


async def test_429_for_names_that_are_made_up_keeps_nobody_from_others(registry: Registry, gateways: Gateways) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.in_turn(*[lies.says(429, Retry_After="3600")] * 20, lies.honestly)
    statuses = [(await gateway.get(f"/v2/hub/evil/r{number}/manifests/1")).status for number in range(20)]

    assert {503} == set(statuses)
    assert 200 == (await gateway.get(COLD.format("cold-0"))).status


async def test_an_owner_that_lies_goes_on_being_asked(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["blob"] = lies.page(200)
    gateway = await gateways.start({"hub": registry})
    wanted = [f"/v2/hub/library/app/blobs/sha256:{number:064x}" for number in range(5)]

    assert {502} == {(await gateway.get(path)).status for path in wanted}
    assert 5 == registry.count("GET blob")


async def test_a_change_is_logged_once_and_not_for_every_request(
    logged: Logged, registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway, _ = await held(registry, gateways)
    registry.on["tag"] = lies.hangs_up
    await break_it(gateway)
    for number in range(10):
        await gateway.get(COLD.format(f"x-{number}"))
    registry.on.clear()
    clock.advance(1)
    await gateway.get(COLD.format("cold-0"))

    assert 1 == logged.text.count("a source fails and is not asked for a while")
    assert 1 == logged.text.count("a source answers again")
    assert 1 == logged.text.count("upstream trouble"), "how many there were stands in the lines of the requests"


# --- what a client chooses to ask for must not shut an upstream for all


async def test_a_catalog_that_times_out_behind_a_balancer_shuts_no_registry(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.on["catalog"] = lies.page(504)
    for number in range(8):
        registry.push("library/app", f"{number}", b"layer")
    gateway = await gateways.start({"hub": registry})
    statuses = []
    for number in range(8):
        for _ in range(3):
            await gateway.get("/v2/hub/_catalog")
        statuses.append((await gateway.get(f"/v2/hub/library/app/manifests/{number}")).status)
        clock.advance(2.0**number)

    assert [200] * 8 == statuses


async def test_lists_of_many_pages_that_take_too_long_together_shut_no_registry(
    registry: Registry, gateways: Gateways
) -> None:
    async def endless(request: web.BaseRequest, honest: lies.Honest) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        path, _, query = request.raw_path.partition("?")
        following = f'<{path}?last={int(query.removeprefix("last=") or 0) + 1}>; rel="next"'
        return await lies.honestly(request, lies.Honest(200, b'{"name":"x","tags":["1"]}', {"Link": following}))

    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = endless
    gateway = await gateways.start({"hub": oci(registry, timeouts={"name": "1s"})})
    lists = await asyncio.gather(*(gateway.get(f"/v2/hub/evil/r{number}/tags/list") for number in range(6)))

    assert {504} == {got.status for got in lists}
    assert 200 == (await gateway.get("/v2/hub/library/app/manifests/1.0")).status


async def test_a_gateway_that_is_offline_is_not_shut_by_what_it_lacks(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    behind = await gateways.start({"hub": registry}, "behind")
    await behind.get("/v2/hub/library/app/manifests/1.0")
    await behind.at_rest()
    await behind.close()
    behind = await gateways.start({"hub": registry}, "behind", offline=True)
    gateway = await gateways.start({"far": {"kind": "oci", "url": behind.url}})
    lacking = [(await gateway.get(f"/v2/far/hub/r{number}/app/manifests/none")).status for number in range(4)]

    assert [502] * 4 == lacking
    assert 200 == (await gateway.get("/v2/far/hub/library/app/manifests/1.0")).status


async def test_a_member_that_drips_its_list_is_not_waited_for_each_time(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"layer")
    other.push("far/app", "1.0", b"layer")
    other.on["catalog"] = lies.dripping(0.05, 1)
    far = oci(other, timeouts={"name": "200ms"})
    gateway = await gateways.start({"hub": registry, "far": far}, views={"both": ["hub", "far"]})
    answers = [await gateway.get("/v2/both/_catalog") for _ in range(10)]

    assert [(200, "far")] * 10 == [(one.status, one.headers["Apprproxy-Partial"]) for one in answers]
    assert 3 == other.count("catalog")


async def test_made_up_names_below_a_remote_that_is_down_shut_nobody_else_out(
    registry: Registry, gateways: Gateways
) -> None:
    """A registry that is a proxy itself answers 504 to all of them, and there is no end of them."""

    async def proxy(request: web.BaseRequest, honest: lies.Honest) -> web.StreamResponse:
        behave = lies.page(504) if "/remote/" in request.raw_path else lies.honestly
        return await behave(request, honest)

    registry.on["tag"] = proxy
    for number in range(8):
        registry.push("library/app", f"{number}", b"layer")
    gateway = await gateways.start({"hub": registry})
    for number in range(20):
        await gateway.get(f"/v2/hub/remote/{number}/manifests/1")
    statuses = [(await gateway.get(f"/v2/hub/library/app/manifests/{number}")).status for number in range(8)]

    assert [200] * 8 == statuses


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_could_not_ask_further_is_not_away_itself(
    registry: Registry, gateways: Gateways, clock: Clock, status: int
) -> None:
    """As it says by Proxy-Status (RFC 9209)."""
    gateway, _ = await held(registry, gateways)
    before = registry.count("tag")
    registry.on["tag"] = lies.says(status, Proxy_Status="apprproxy")
    await break_it(gateway)
    await break_it(gateway)
    living = registry.count("tag")
    registry.on["tag"] = lies.says(status)
    await break_it(gateway)
    await break_it(gateway)

    assert (6, 3) == (living - before, registry.count("tag") - living)


@pytest.mark.parametrize("status", [429, 500])
async def test_a_mirror_that_is_in_trouble_itself_says_so_whatever_stands_beside(
    gateways: Gateways, status: int
) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.says(status, Proxy_Status="apprproxy")
        await case.pull()
        await case.forget()
        await case.pull()

    assert [1, 2] == case.asked()


async def test_where_its_blobs_lie_elsewhere_and_that_is_away_its_names_are_answered(
    registry: Registry, gateways: Gateways
) -> None:
    """Registries keep blobs at another host, which may be down or behind a firewall by itself."""
    registry.on["blob"] = lies.redirects("http://localhost:1/bucket")
    gateway = await gateways.start({"hub": oci(registry, redirects=["localhost"])})
    for number in range(5):
        registry.push(f"library/app-{number}", "1.0", b"layer %d" % number)
        failed = await gateway.get(f"/v2/hub/library/app-{number}/blobs/{digest(b'layer %d' % number)}")

        assert (502, "UNAVAILABLE") == (failed.status, failed.code)
        assert "hub: redirects to localhost: no connection: Connection refused" in failed.message
    named = await gateway.get("/v2/hub/library/app-4/manifests/1.0")

    assert 200 == named.status
    assert 1 == available(gateway)
