"""A digest is shared by whoever names it, and nobody can keep it from the others by the way in which it does."""

import asyncio
import json

import pytest
from aiohttp import web

from apprproxy.gateway.members.health import PROBED_BY
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate, until
from tests.fakes.content import IMAGE, digest, oci_error, some_bytes
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range, part_of, ranges_asked, stopping_at
from tests.fakes.registry import Registry

BLOB = some_bytes(300_000)
WANTED = digest(BLOB)
MIB = 1024 * 1024
LARGE = some_bytes(4 * MIB)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every fifth of a second: the pace of a line is the point of these tests."""
    for module in ("pace", "guest"):
        monkeypatch.setattr(f"apprproxy.gateway.flights.{module}.LOOK", 0.2)


async def attacked(
    gateway: Running, other: Registry, name: str = "evil/evil/app", wanted: str = WANTED
) -> asyncio.Task[Got]:
    """Somebody asks for it in the name of the other upstream, which has been asked now."""
    before = other.count("GET blob")
    task = asyncio.create_task(gateway.get(f"/v2/{name}/blobs/{wanted}"))
    await until(lambda: other.count("GET blob") > before)
    return task


# --- one transfer is enough for all while it goes well


async def test_one_transfer_is_for_the_clients_of_all_upstreams(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    for one in (registry, other):
        one.add_blob("library/app", LARGE)
    other.on["GET blob"] = stopping_at((2 * MIB, gate))
    gateway = await gateways.start({"hub": registry, "far": other})
    path = f"/v2/{{}}/library/app/blobs/{digest(LARGE)}"
    asking = [asyncio.create_task(gateway.get(path.format("far")))]
    await gate.reached()
    asking += [asyncio.create_task(gateway.get(path.format(name))) for name in ("hub", "far") * 4]
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 8)
    gate.open()
    answers = await asyncio.gather(*asking)

    assert {(200, LARGE)} == {(got.status, got.body) for got in answers}
    assert (0, 1) == (registry.count("GET blob"), other.count("GET blob"))


async def test_what_another_upstream_does_not_bring_is_asked_of_its_own(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    other.on["GET blob"] = lies.waiting_for(gate, lies.says(404, oci_error("BLOB_UNKNOWN")))
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = await attacked(gateway, other)
    asking = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    got, failed = await asking, await attack

    assert (404, 200, BLOB) == (failed.status, got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_upstreams_that_are_slow_each_bring_it_to_their_own(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Neither knows ranges; what comes of one is never mixed with what comes of another."""
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
        one.on["GET blob"] = lies.dripping(0.1, 25_000)
    gateway = await gateways.start({"hub": registry, "far": other})
    answers = await asyncio.gather(
        *(gateway.get(f"/v2/{name}/library/app/blobs/{WANTED}") for name in ("hub", "far", "hub"))
    )
    await gateway.at_rest()

    assert {(200, BLOB)} == {(got.status, got.body) for got in answers}
    assert (1, 1) == (registry.count("GET blob"), other.count("GET blob"))
    assert ([WANTED], []) == (gateway.blobs, gateway.ingests)


# --- and none keeps it from another's clients


def without_end(rate: int) -> lies.Behaviour:
    """Garbage whose length nobody announces, so many bytes a second."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(bytes(rate // 20))
            await asyncio.sleep(0.05)

    return answer


SLOW = {
    "a byte at a time": lies.dripping(0.5, 1),
    "a trickle": lies.dripping(0.5, 10_000),
    "nothing": lies.late(60),
    "garbage": without_end(12 * MIB),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("what", ["blob", "manifest", "tag"])
async def test_what_an_upstream_sends_is_not_what_anothers_clients_wait_for(
    what: str, behaviour: lies.Behaviour, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push("library/app", "1.0", BLOB)
    wanted = WANTED if what == "blob" else digest(content)
    other.on["GET blob"] = other.on["GET manifest"] = behaviour
    gateway = await gateways.start({"hub": registry, "evil": other})
    kind = "blobs" if what == "blob" else "manifests"
    attack = asyncio.create_task(gateway.get(f"/v2/evil/evil/app/{kind}/{wanted}"))
    await until(lambda: other.count("GET blob") + other.count("GET manifest") == 1)
    got = await gateway.get(f"/v2/hub/library/app/{'manifests/1.0' if what == 'tag' else f'{kind}/{wanted}'}")
    attack.cancel()

    assert (200, BLOB if what == "blob" else content) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_garbage_of_the_right_size_is_not_waited_for_longer_than_so(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apprproxy.gateway.flights.guest.LONGEST", 0.5)
    wanted = registry.add_blob("library/app", LARGE)

    async def leisurely(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(LARGE)
        await response.prepare(request)
        for _piece in range(64):
            await response.write(bytes(len(LARGE) // 64))
            await asyncio.sleep(0.1)
        return response

    other.on["GET blob"] = leisurely
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = await attacked(gateway, other, wanted=wanted)
    got = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    attack.cancel()

    assert (200, LARGE) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_neither_a_slow_beginning_nor_a_trickle_is_what_everybody_waits_for(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """The owner takes longer to begin than anybody stays with another's."""
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.late(1)
    other.on["GET blob"] = lies.dripping(0.5, 10_000)
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = await attacked(gateway, other)
    got = await gateway.get(f"/v2/hub/library/app/blobs/{WANTED}")
    attack.cancel()

    assert (200, BLOB) == (got.status, got.body)


async def nearly_too_late(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
    await asyncio.sleep(0.15)
    return await lies.says(404, oci_error("BLOB_UNKNOWN"))(request, Honest(404))


@pytest.mark.usefixtures("quick")
async def test_many_repositories_that_each_take_a_little_less_than_too_long_keep_it_from_nobody(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    other.on["HEAD blob"] = lies.says(200, Docker_Content_Digest=WANTED)
    other.on["GET blob"] = nearly_too_late
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = [await attacked(gateway, other, "evil/r/0")]
    attack += [asyncio.create_task(gateway.get(f"/v2/evil/r/{n}/blobs/{WANTED}")) for n in range(1, 16)]
    await until(lambda: other.count("HEAD blob") == 15)
    before = other.count("GET blob")
    got = await gateway.get(f"/v2/hub/library/app/blobs/{WANTED}")
    asked = other.count("GET blob") - before
    await asyncio.gather(*attack)

    assert (200, BLOB) == (got.status, got.body)
    assert asked < 5


async def test_repositories_that_lack_a_blob_are_asked_after_those_that_have_it(
    registry: Registry, gateways: Gateways
) -> None:
    wanted = registry.add_blob("library/app", b"wanted")
    registry.on["blob"] = lies.late(0.05)
    gateway = await gateways.start({"hub": oci(registry)})
    strangers = [asyncio.create_task(gateway.get(f"/v2/hub/evil/r{number}/blobs/{wanted}")) for number in range(60)]
    await until(lambda: registry.count("GET blob") > 0)
    got = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    missing = await asyncio.gather(*strangers)

    assert (200, b"wanted") == (got.status, got.body)
    assert {404} == {each.status for each in missing}
    gets = [seen.target for seen in registry.seen if seen.method == "GET"]
    assert gets.index(f"/v2/library/app/blobs/{wanted}") < 20


# --- nor spoils it for them, or has them convicted


async def slowly(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
    """What is asked for, at 300 KB a second."""
    part, _ = part_of(request, honest)
    response = web.StreamResponse(status=part.status, headers=part.headers)
    response.content_length = len(part.body)
    await response.prepare(request)
    for at in range(0, len(part.body), 30_000):
        await response.write(part.body[at : at + 30_000])
        await asyncio.sleep(0.1)
    return response


def beginning(body: bytes, *, rest: lies.Behaviour) -> lies.Behaviour:
    """So much, whose length nobody announces, and then the connection goes; ``rest`` for who comes back."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        if "Range" in request.headers:
            return await rest(request, honest)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


SPOILS = {
    "it has no more": beginning(bytes(1000), rest=lies.says(404, oci_error("BLOB_UNKNOWN"))),
    "there is less": beginning(bytes(5), rest=lies.says(416, Content_Range="bytes */5")),
    "there is more": beginning(bytes(400_000), rest=lies.says(416, Content_Range="bytes */400000")),
    "wrong bytes": lies.says(200, bytes(300_000)),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("ranges", [True, False], ids=["by range", "whole"])
@pytest.mark.parametrize("behaviour", SPOILS.values(), ids=SPOILS)
async def test_what_another_upstream_says_or_sends_fails_nobody_and_convicts_nobody(
    behaviour: lies.Behaviour, ranges: bool, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """In the name of one repository after the other, before the honest ones are asked and while they send; its clients'
    mirror too, which is slow."""
    async with Registry() as mirror:
        for one in (registry, mirror):
            one.add_blob("library/app", BLOB)
        registry.on["GET blob"] = by_range if ranges else lies.honestly
        mirror.on["GET blob"] = slowly if ranges else lies.dripping(0.1, 30_000)
        other.on["HEAD blob"] = lies.says(200, Docker_Content_Digest=WANTED)
        other.on["GET blob"] = behaviour
        gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": mirror.url}]), "evil": other})
        attack = [await attacked(gateway, other, "evil/r/0")]
        victim = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
        for number in range(1, 8):
            attack.append(asyncio.create_task(gateway.get(f"/v2/evil/r/{number}/blobs/{WANTED}")))
            await asyncio.sleep(0.1)
        got = await victim
        await asyncio.gather(*attack)
        await gateway.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")
    assert 1 == gateway.metric("apprproxy_upstream_available", upstream="hub", source="mirror-1")


async def test_what_another_upstream_left_is_neither_continued_nor_lost(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LARGE)
    other.add_blob("far/app", LARGE)
    registry.on["GET blob"] = lies.page(500)
    gate = Gate()
    other.on["GET blob"] = lies.in_turn(stopping_at((MIB, gate), (MIB, None)), lies.page(500), by_range)
    gateway = await gateways.start({"hub": registry, "far": other})
    breaking = asyncio.create_task(gateway.get(f"/v2/far/far/app/blobs/{digest(LARGE)}"))
    await until(lambda: gateway.arrived() == MIB)
    gate.open()
    broken = await breaking
    await gateway.at_rest()
    failed = await gateway.get(f"/v2/hub/library/app/blobs/{digest(LARGE)}")
    await gateway.at_rest()
    left = gateway.arrived()
    continued = await gateway.get(f"/v2/far/far/app/blobs/{digest(LARGE)}")

    assert (502, 502) == (broken.status, failed.status)
    assert MIB == left
    assert (200, LARGE) == (continued.status, continued.body)
    assert f"bytes={MIB}-" == ranges_asked(other.seen)[-1]
    assert [""] == ranges_asked(registry.seen)


# --- who parted goes on with what is there


@pytest.mark.usefixtures("quick")
async def test_who_parted_is_given_what_another_upstream_has_brought(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.late(60)
    other.on["GET blob"] = lies.dripping(0.1, 25_000)
    gateway = await gateways.start({"hub": registry, "far": other})
    first = asyncio.create_task(gateway.get(f"/v2/far/library/app/blobs/{WANTED}"))
    await until(lambda: other.count("GET blob") == 1)
    second = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
    await until(lambda: registry.count("GET blob") == 1)
    answers = await asyncio.gather(first, second)
    await gateway.at_rest()

    assert [(200, BLOB)] * 2 == [(got.status, got.body) for got in answers]
    assert [] == gateway.ingests


@pytest.mark.usefixtures("quick")
async def test_a_mirror_that_lied_is_found_out_whoever_brings_the_right_bytes(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Its owner went on with the wrong beginning, and is asked for the whole when another upstream's client has it."""
    async with Registry() as mirror:
        for one in (registry, mirror, other):
            one.add_blob("library/app", BLOB)
        gate, far = Gate(), Gate()
        mirror.on["GET blob"] = beginning(bytes(100_000), rest=lies.hangs_up)
        registry.on["GET blob"] = lies.in_turn(by_range, lies.waiting_for(gate, by_range))
        other.on["GET blob"] = lies.waiting_for(far)
        gateway = await gateways.start({"far": other, "hub": oci(registry, mirrors=[{"url": mirror.url}])})
        first = await attacked(gateway, other, "far/library/app")
        second = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
        await gate.reached()
        far.open()
        answers = await asyncio.gather(first, second)
        await gateway.at_rest()

    assert [(200, BLOB)] * 2 == [(got.status, got.body) for got in answers]
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub", source="mirror-1")


@pytest.mark.usefixtures("quick")
async def test_what_was_left_apart_is_gone_on_with(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", LARGE)
    registry.on["GET blob"] = beginning(LARGE[:MIB], rest=lies.in_turn(lies.page(500), by_range))
    other.on["GET blob"] = lies.late(1)
    gateway = await gateways.start({"hub": registry, "evil": other})
    path = f"/v2/hub/library/app/blobs/{digest(LARGE)}"
    attack = await attacked(gateway, other, "evil/library/app", digest(LARGE))
    broken = await gateway.get(path)
    await attack
    await gateway.at_rest()
    left = [path.name for path in gateway.ingests]
    whole = await gateway.get(path)
    await gateway.at_rest()

    assert any("-apart-" in name for name in left)
    assert (502, 200, LARGE) == (broken.status, whole.status, whole.body)
    assert f"bytes={MIB}-" == ranges_asked(registry.seen)[-1]
    assert [] == gateway.ingests


@pytest.mark.usefixtures("quick")
async def test_a_wait_in_our_own_queue_is_no_slowness_of_whoever_waits_there(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """A view's client is before hub's own, and both wait for one of hub's connections."""
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(lies.waiting_for(gate), lies.honestly)
    upstreams = {"corp": oci(other), "hub": oci(registry, connections=1)}
    gateway = await gateways.start(upstreams, views={"both": ["corp", "hub"]})
    busy = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{digest(b'busy')}"))
    await gate.reached()
    view = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{WANTED}"))
    await until(lambda: other.count("GET blob") == 1)
    direct = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
    await asyncio.sleep(0.5)  # longer than whoever is slow is waited for
    waiting = gateway.metric("apprproxy_flights_waiting")
    gate.open()
    answers = await asyncio.gather(view, direct)
    await busy

    assert [(200, BLOB)] * 2 == [(got.status, got.body) for got in answers]
    assert 2 == registry.count("GET blob"), "the busy one, and one for both"
    assert 1 == waiting, "one of them stands in the queue, and the other one behind it"


async def test_who_waits_for_somebody_elses_transfer_is_not_told_that_its_own_upstream_is_being_looked_at(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    """Nobody looks: it was away a moment ago, and is not asked for what is coming."""
    gate = Gate()
    for one in (registry, other):
        one.add_blob("library/app", LARGE)
    other.on["GET blob"] = stopping_at((2 * MIB, gate))
    gateway = await gateways.start({"hub": registry, "far": other})
    registry.on["blob"] = lies.hangs_up
    for number in range(3):
        await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'%d' % number)}")
    registry.on.clear()
    clock.advance(5)
    path = f"/v2/{{}}/library/app/blobs/{digest(LARGE)}"
    first = asyncio.create_task(gateway.get(path.format("far")))
    await gate.reached()
    second = asyncio.create_task(gateway.get(path.format("hub")))
    await asyncio.wait([second], timeout=PROBED_BY + 0.2)
    gate.open()
    answers = await asyncio.gather(first, second)

    assert [(200, LARGE)] * 2 == [(got.status, got.body) for got in answers]


# --- in a view, whose members are asked one after the other


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("behaviour", [SLOW["a byte at a time"], SLOW["nothing"]], ids=["drips", "is silent"])
async def test_a_member_that_is_slow_makes_way_for_the_next(
    behaviour: lies.Behaviour, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Which is not quick either, knows no ranges, and so needs a long turn."""
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.dripping(0.1, 40_000)
    other.on["GET blob"] = behaviour
    gateway = await gateways.start({"evil": other, "hub": registry}, views={"both": ["evil", "hub"]})
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")

    assert (200, BLOB) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_what_a_later_member_sends_is_not_what_the_first_ones_own_clients_wait_for(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """It was asked through the view, in the name of a repository that the first one lacks."""
    registry.add_blob("library/app", BLOB)
    other.on["GET blob"] = without_end(4 * MIB)
    gateway = await gateways.start({"hub": registry, "evil": other}, views={"both": ["hub", "evil"]})
    attack = await attacked(gateway, other, "both/made/up")
    got = await gateway.get(f"/v2/hub/library/app/blobs/{WANTED}")
    attack.cancel()

    assert (200, BLOB) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_a_size_that_another_member_states_ends_nobodys_turn(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LARGE)
    layer = {"mediaType": "application/octet-stream", "digest": digest(LARGE), "size": 1}
    stated = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "layers": [layer]}).encode()
    other.add_manifest("library/app", stated, tag="1")
    registry.on["GET blob"] = lies.dripping(0.05, 300_000)
    other.on["GET blob"] = lies.late(60)
    gateway = await gateways.start({"hub": registry, "evil": other}, views={"both": ["hub", "evil"]})
    await gateway.get("/v2/evil/library/app/manifests/1")
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(LARGE)}")

    assert (200, LARGE) == (got.status, got.body)
    assert (1, 0) == (registry.count("GET blob"), other.count("GET blob"))


async def test_a_member_whose_line_breaks_is_asked_for_the_rest_after_the_others(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LARGE)
    registry.on["GET blob"] = beginning(LARGE[:MIB], rest=by_range)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(LARGE)}")

    assert (200, LARGE) == (got.status, got.body)
    assert ["", f"bytes={MIB}-"] == ranges_asked(registry.seen)
    assert 1 == other.count("GET blob")
