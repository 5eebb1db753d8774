"""A view's clients are answered by all its members, whatever one of these does for clients of its own."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from apprproxy.gateway.flights import guest
from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.content import digest, manifest, oci_error, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range, part_of, ranges_asked, stopping_at
from tests.fakes.registry import Registry
from tests.gateway.test_strangers import beginning

BLOB = some_bytes(300_000)
WANTED = digest(BLOB)
MIB = 1024 * 1024
LARGE = some_bytes(4 * MIB)
NONE = lies.says(404, oci_error("BLOB_UNKNOWN"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks every fifth of a second, wants three MiB a second, and waits for nobody longer than two."""
    for module in ("pace", "guest"):
        monkeypatch.setattr(f"apprproxy.gateway.flights.{module}.LOOK", 0.2)
        monkeypatch.setattr(f"apprproxy.gateway.flights.{module}.LONGEST", 2.0)
        monkeypatch.setattr(f"apprproxy.gateway.flights.{module}.LEAST", 3_200_000)


async def evicted(gateway: Running, *paths: str) -> None:
    """What came here by these paths, so that it is known who has it, and is here no longer."""
    for path in paths:
        assert 200 == (await gateway.get(path)).status
    await gateway.at_rest()
    for blob in (gateway.cache / "blobs").glob("sha*/*"):
        blob.unlink()


def garbage(rate: int, size: int | None = None) -> lies.Behaviour:
    """So many bytes a second, for ever, whatever size is announced."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = size
        if size is None:
            response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(bytes(rate // 20))
            await asyncio.sleep(0.05)

    return answer


SLOW = {"drips": lies.dripping(0.5, 1), "garbage": garbage(4 * MIB)}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW)
async def test_a_member_that_is_slow_to_a_client_of_its_own_makes_way_for_the_next(
    behaviour: lies.Behaviour, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    gateway = await gateways.start({"evil": other, "hub": registry}, views={"both": ["evil", "hub"]})
    await evicted(gateway, *(f"/v2/{name}/library/app/blobs/{WANTED}" for name in ("evil", "hub")))
    other.on["GET blob"] = behaviour
    asked = other.count("GET blob")
    own = asyncio.create_task(gateway.get(f"/v2/evil/library/app/blobs/{WANTED}"))
    await until(lambda: other.count("GET blob") > asked)
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")
    own.cancel()

    assert (200, BLOB) == (got.status, got.body)
    assert asked + 1 == other.count("GET blob")


@pytest.mark.usefixtures("quick")
async def test_a_member_that_keeps_silent_to_a_client_of_its_own_is_not_asked_again(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    other.on["GET blob"] = lies.late(60)
    gateway = await gateways.start({"evil": other, "hub": registry}, views={"both": ["evil", "hub"]})
    own = asyncio.create_task(gateway.get(f"/v2/evil/library/app/blobs/{WANTED}"))
    await until(lambda: other.count("GET blob") == 1)
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")
    own.cancel()
    await asyncio.gather(own, return_exceptions=True)

    assert (200, BLOB) == (got.status, got.body)
    assert 1 == other.count("GET blob")


@pytest.mark.usefixtures("quick")
async def test_what_only_the_first_member_has_comes_once_for_its_own_clients_and_the_views(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """It takes longer than anybody is waited for while another could be asked."""
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.dripping(0.1, 20_000)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    own = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{WANTED}"))
    await until(lambda: registry.count("GET blob") == 1)
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")

    assert [(200, BLOB)] * 2 == [(one.status, one.body) for one in (got, await own)]
    assert 1 == registry.count("GET blob")


@pytest.mark.usefixtures("quick")
async def test_a_view_gives_nobody_what_a_later_member_sends_to_somebody_else(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Patience is over before the wait for that one is, as it is by default (10 s, 30 s)."""
    for one in (registry, other):
        one.add_blob("library/app", LARGE)
    registry.on["GET blob"] = by_range
    gateway = await gateways.start(
        {"hub": registry, "evil": other}, views={"both": ["hub", "evil"]}, delivery={"patience": "700ms"}
    )
    await evicted(gateway, *(f"/v2/{name}/library/app/blobs/{digest(LARGE)}" for name in ("evil", "hub")))
    other.on["GET blob"] = garbage(MIB, len(LARGE))
    asked = other.count("GET blob")
    attack = asyncio.create_task(gateway.get(f"/v2/evil/library/app/blobs/{digest(LARGE)}"))
    await until(lambda: other.count("GET blob") > asked)
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(LARGE)}")
    attack.cancel()

    assert (200, LARGE) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("stream", ["owner", "never"])
async def test_what_a_slow_member_sends_to_a_client_of_its_own_is_the_views_as_well(
    stream: str, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Nobody lies: the first member is silent. The view's turn at the next one comes while that one fills its file."""
    registry.add_blob("library/app", LARGE)

    async def slowly(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        return await lies.dripping(0.1, 200_000)(request, part_of(request, honest)[0])

    registry.on["GET blob"] = slowly
    other.on["GET blob"] = lies.late(60)
    gateway = await gateways.start(
        {"far": other, "hub": registry}, views={"both": ["far", "hub"]}, delivery={"stream": stream}
    )
    view = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{digest(LARGE)}"))
    await until(lambda: other.count("GET blob") == 1)
    own = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{digest(LARGE)}"))
    answers = await asyncio.gather(view, own)
    await gateway.at_rest()

    assert [(200, LARGE)] * 2 == [(got.status, got.body) for got in answers]
    assert 0 == gateway.metric("apprproxy_troubles_total", what="keep", upstream="hub")


async def test_whoever_was_given_wrong_bytes_is_told_whose_they_were(
    logged: Logged, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    async with Registry() as last:
        gate = Gate()
        other.add_blob("library/app", LARGE)
        other.on["GET blob"] = stopping_at((3 * MIB, gate), body=bytes(len(LARGE)))
        last.on["GET blob"] = lies.waiting_for(Gate())
        gateway = await gateways.start(
            {"hub": registry, "evil": other, "last": last},
            views={"all": ["hub", "evil", "last"]},
            delivery={"patience": "0s"},
        )
        async with gateway.session.get(f"{gateway.url}/v2/all/library/app/blobs/{digest(LARGE)}") as response:
            await response.content.readexactly(MIB)
            gate.open()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        await until(lambda: '"event": "request"' in logged.text)
    lines = [json.loads(line) for line in logged.text.splitlines()]

    assert ["evil: sent wrong bytes, of which this client has been given some"] == [
        line["reason"] for line in lines if line["event"] == "request"
    ]


async def test_a_wrong_beginning_of_one_member_is_not_completed_with_what_another_sends(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right file is another one; whoever was given the beginning would never know that it has some of both."""
    monkeypatch.setattr("apprproxy.gateway.flights.pace.LOOK", 0.2)
    wrong = some_bytes(len(LARGE), seed="wrong")
    registry.add_blob("library/app", LARGE)
    other.add_blob("library/app", LARGE)
    other.on["GET blob"] = stopping_at((MIB, Gate()), body=wrong)
    gateway = await gateways.start(
        {"evil": other, "hub": registry}, views={"both": ["evil", "hub"]}, delivery={"patience": "0s"}
    )
    async with gateway.session.get(f"{gateway.url}/v2/both/library/app/blobs/{digest(LARGE)}") as response:
        early = await response.content.readexactly(MIB // 2)
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(response.read(), PATIENCE)

    assert wrong[: MIB // 2] == early
    assert 1 == registry.count("GET blob")


@pytest.mark.usefixtures("quick")
async def test_two_views_with_the_same_last_member_wait_for_it_while_it_pauses(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "STANDS_STILL", 0.2)
    registry.add_blob("library/app", LARGE)
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, gate)), by_range)
    async with Registry() as third:
        gateway = await gateways.start(
            {"a": other, "b": third, "hub": registry},
            views={"one": ["a", "hub"], "two": ["b", "hub"]},
            delivery={"stream": "never"},
        )
        asking = [asyncio.create_task(gateway.get(f"/v2/one/library/app/blobs/{digest(LARGE)}"))]
        await gate.reached()
        asking.append(asyncio.create_task(gateway.get(f"/v2/two/library/app/blobs/{digest(LARGE)}")))
        await until(lambda: third.count("GET blob") == 1)
        await asyncio.sleep(0.8)
        gate.open()
        answers = await asyncio.gather(*asking)

    assert [(200, LARGE)] * 2 == [(got.status, got.body) for got in answers]
    assert 1 == registry.count("GET blob")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("members", [["evil", "hub"], ["hub", "evil"]])
async def test_the_size_that_a_client_is_told_is_the_word_of_the_member_that_sends(
    members: list[str], announced: bool, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """A manifest of the other's states another size, and that one keeps silent."""
    named = json.loads(manifest(LARGE))
    named["layers"][0]["size"] = 5 * MIB
    for one in (registry, other):
        one.add_blob("library/app", LARGE)
    stated = other.add_manifest("library/app", json.dumps(named).encode())
    gate = Gate()

    async def sent(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(honest.body) if announced else None
        await response.prepare(request)
        await response.write(honest.body[: 3 * MIB])
        await gate()
        await response.write(honest.body[3 * MIB :])
        return response

    registry.on["GET blob"], other.on["GET blob"] = sent, lies.late(60)
    gateway = await gateways.start(
        {"hub": registry, "evil": other}, views={"both": members}, delivery={"patience": "0s"}
    )
    assert 200 == (await gateway.get(f"/v2/evil/library/app/manifests/{stated}")).status
    asking = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{digest(LARGE)}"))
    await gate.reached()
    await asyncio.sleep(0.1)
    gate.open()
    got = await asking

    assert (200, LARGE) == (got.status, got.body)


# --- what is known of one of them


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("mirrored", [False, True], ids=["here already", "mirrored"])
async def test_a_member_that_keeps_silent_about_what_it_has_makes_way_for_the_next(
    mirrored: bool, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for repository in ("library/app", "else/app"):
        registry.add_blob(repository, BLOB)
    other.on["HEAD blob"] = lies.late(60)
    async with Registry() as mirror:
        first = oci(other, mirrors=[{"url": mirror.url}] if mirrored else [])
        gateway = await gateways.start({"evil": first, "hub": registry}, views={"both": ["evil", "hub"]})
        if not mirrored:
            await gateway.get(f"/v2/hub/else/app/blobs/{WANTED}")
        async with asyncio.timeout(PATIENCE):
            got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")

    assert (200, BLOB) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_a_member_that_takes_its_time_to_say_what_it_has_is_waited_for_where_the_next_lacks_it(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for repository in ("library/app", "else/app"):
        registry.add_blob(repository, BLOB)
    registry.on["HEAD blob"] = lies.late(0.5)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    await gateway.get(f"/v2/hub/else/app/blobs/{WANTED}")
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")

    assert (200, BLOB) == (got.status, got.body)
    assert (1, 1) == (registry.count("HEAD blob"), other.count("HEAD blob"))


async def test_a_no_that_a_member_says_to_a_client_of_its_own_is_none_of_the_view(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Nobody lies: far is merely asked at the same time, in its own name."""
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    other.on["GET blob"] = lies.waiting_for(gate, NONE)
    gateway = await gateways.start({"far": other, "hub": registry}, views={"both": ["far", "hub"]})
    own = asyncio.create_task(gateway.get(f"/v2/far/library/app/blobs/{WANTED}"))
    await gate.reached()
    view = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{WANTED}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    got, failed = await view, await own

    assert (404, 200, BLOB) == (failed.status, got.status, got.body)


THEN = {"404": NONE, "403": lies.says(403, oci_error("DENIED")), "hangs up": lies.hangs_up}


@pytest.mark.parametrize("then", THEN.values(), ids=THEN)
async def test_what_a_member_has_left_keeps_the_next_from_nobody(
    then: lies.Behaviour, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """One byte of a transfer that broke off, at any time of the day before."""
    registry.add_blob("library/app", BLOB)
    other.on["GET blob"] = beginning(b"x", rest=then)
    gateway = await gateways.start({"evil": other, "hub": registry}, views={"both": ["evil", "hub"]})
    await gateway.get(f"/v2/evil/library/app/blobs/{WANTED}")
    await gateway.at_rest()
    got = await gateway.get(f"/v2/both/library/app/blobs/{WANTED}")

    assert (200, BLOB) == (got.status, got.body)


async def test_who_says_that_it_has_it_is_not_the_only_one_asked(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """It is asked by HEAD, since another upstream's client waits for the same bytes, and has nothing when it is asked
    for them."""
    async with Registry() as third:
        registry.add_blob("library/app", BLOB)
        gate = Gate()
        third.on["GET blob"] = lies.waiting_for(gate, NONE)
        other.on["HEAD blob"] = lies.says(200, Docker_Content_Digest=WANTED)
        other.on["GET blob"] = NONE
        upstreams = {"evil": other, "hub": registry, "third": third}
        gateway = await gateways.start(upstreams, views={"both": ["evil", "hub"]})
        busy = asyncio.create_task(gateway.get(f"/v2/third/library/app/blobs/{WANTED}"))
        await gate.reached()
        view = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{WANTED}"))
        await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
        gate.open()
        got, _ = await view, await busy

    assert (200, BLOB) == (got.status, got.body)


# --- more than there is room for


async def dripping(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
    """A byte now and then of what there would be room for."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.1)


def announcing(size: int, begin: int = 2 * MIB) -> lies.Behaviour:
    """So much, of which the beginning comes, and then a byte now and then."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = size
        await response.prepare(request)
        await response.write(bytes(begin))
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.1)

    return answer


@pytest.mark.parametrize("behaviour", [announcing(1000 * MIB), lies.endless()], ids=["announces", "sends"])
@pytest.mark.parametrize("stream", ["owner", "never"])
async def test_what_there_is_no_room_for_keeps_no_blob_of_the_next_member_away(
    stream: str, behaviour: lies.Behaviour, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    large = some_bytes(9 * MIB)  # more than is held in memory
    registry.add_blob("library/app", large)
    other.on["GET blob"] = behaviour
    gateway = await gateways.start(
        {"evil": other, "hub": registry},
        views={"both": ["evil", "hub"]},
        delivery={"stream": stream},
        max_size="100MiB",
    )
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")
    await gateway.at_rest()

    assert (200, large) == (got.status, got.body)
    assert [digest(large)] == gateway.blobs


async def test_what_there_is_no_room_for_is_passed_on_where_no_other_member_has_it(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    large = some_bytes(65 * MIB)
    registry.add_blob("library/app", large)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]}, max_size="64MiB")
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")

    assert (200, large) == (got.status, got.body)
    assert "unkept" in got.cache


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("order", [["evil", "hub"], ["hub", "evil"]], ids=["before", "behind"])
async def test_what_there_is_no_room_for_waits_for_no_member_that_drips(
    order: list[str], registry: Registry, other: Registry, gateways: Gateways
) -> None:
    large = some_bytes(65 * MIB)
    registry.add_blob("library/app", large)
    other.on["GET blob"] = dripping
    gateway = await gateways.start(
        {"evil": other, "hub": registry},
        views={"both": order},
        delivery={"patience": "500ms"},
        max_size="64MiB",
    )
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")

    assert (200, large) == (got.status, got.body)


async def test_what_cannot_be_kept_is_given_from_one_member_alone(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """The first one sends a wrong byte and hangs up: nobody goes on with that, or is blamed for it."""
    large = some_bytes(65 * MIB)
    for one in (registry, other):
        one.add_blob("library/app", large)
    registry.on["GET blob"] = by_range
    other.on["GET blob"] = lies.in_turn(lies.hangs_up, stopping_at((1, None), body=bytes(len(large))))
    gateway = await gateways.start({"evil": other, "hub": registry}, views={"both": ["evil", "hub"]}, max_size="64MiB")
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")

    assert (200, large) == (got.status, got.body)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")


@pytest.mark.parametrize("wrong", [False, True], ids=["the same", "other bytes"])
async def test_who_goes_on_with_what_was_given_of_another_has_sent_the_same(
    logged: Logged, wrong: bool, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """The beginning is with the client when the first one breaks off for good."""
    large = some_bytes(65 * MIB)
    for one in (registry, other):
        one.add_blob("library/app", large)
    registry.on["GET blob"] = by_range
    breaks = stopping_at((3 * MIB, None), body=bytes(len(large)) if wrong else large)
    other.on["GET blob"] = lies.in_turn(lies.honestly, breaks, lies.says(503))
    gateway = await gateways.start({"far": other, "hub": registry}, views={"both": ["far", "hub"]}, max_size="64MiB")
    path = f"/v2/both/library/app/blobs/{digest(large)}"
    if wrong:
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway.get(path)
        await until(lambda: '"event": "request"' in logged.text)
        assert "far: sent other bytes than hub, of which this client has been given some" in logged.text
    else:
        assert large == (await gateway.get(path)).body
    assert "" == ranges_asked(registry.seen)[-1]
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")


async def test_a_later_member_that_lies_is_not_asked_before_the_first_for_what_cannot_be_kept(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    large = some_bytes(65 * MIB)
    registry.add_blob("library/app", large)
    other.on["GET blob"] = announcing(1000 * MIB)
    upstreams = {"hub": registry, "evil": other}
    gateway = await gateways.start(upstreams, views={"both": ["hub", "evil"]}, max_size="64MiB")
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")

    assert (200, large) == (got.status, got.body)


@pytest.mark.usefixtures("quick")
async def test_nor_is_its_word_on_the_size_taken_where_it_made_way(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    large = some_bytes(65 * MIB)
    registry.add_blob("library/app", large)
    other.on["GET blob"] = announcing(63 * MIB, 1000)
    upstreams = {"evil": other, "hub": registry}
    gateway = await gateways.start(upstreams, views={"both": ["evil", "hub"]}, max_size="64MiB")
    got = await gateway.get(f"/v2/both/library/app/blobs/{digest(large)}")

    assert (200, large) == (got.status, got.body)
