"""A mirror that fails without lying is left alone for seconds, doubling; then one request looks whether it is back."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Gate
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, oci
from tests.fakes.lies import Behaviour
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry
from tests.gateway.mirrors import APP, BLOB, HALF, OTHER, PATH, TAG, Case, mirrored
from tests.gateway.test_strangers import attacked

QUICK = {"connect": "500ms", "read": "200ms"}
TROUBLES: Mapping[str, Behaviour] = {
    **{str(status): lies.page(status) for status in (429, 500, 501, 503, 599)},
    "broken off": stopping_at((HALF, None)),
}


async def pulled_anew(case: Case) -> bytes:
    await case.forget()
    return (await case.pull()).body


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_a_mirror_in_trouble_is_left_alone_for_seconds_that_double(
    gateways: Gateways, trouble: Behaviour
) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = trouble
        asked = []
        for wait in (0.0, 1.0, 1.0, 3.0, 1.0, 7.0, 1.0):
            gateways.clock.advance(wait)
            assert BLOB == await pulled_anew(case)
            asked.append(case.asked()[0])

        assert [1, 1, 2, 2, 3, 3, 4] == asked
        assert not case.available()


async def test_a_mirror_that_is_back_is_first_again(gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.page(503)
        await case.pull()
        case.mirrors[0].on["blob"] = by_range
        gateways.clock.advance(2)
        bodies = [await pulled_anew(case) for _ in range(3)]

        assert [BLOB] * 3 == bodies
        assert ([4, 1], True) == (case.asked(), case.available())


async def test_a_refused_connection_costs_nothing_but_the_mirror(gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        await case.mirrors[0].stop()
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert not case.available()


@pytest.mark.parametrize("at", [0, HALF])
async def test_a_mirror_that_stalls_is_broken_and_continued(gateways: Gateways, at: int) -> None:
    gate = Gate()
    async with mirrored(gateways, timeouts=QUICK) as case:
        case.mirrors[0].on["blob"] = stopping_at((at, gate))
        got = await case.pull()
        received = case.received("owner")

        assert (200, BLOB) == (got.status, got.body)
        assert [f"bytes={at}-" if at else ""] == case.ranges()
        assert len(BLOB) - at == received
        assert not case.available()


async def test_a_mirror_whose_headers_do_not_come_is_passed_over(gateways: Gateways) -> None:
    async with mirrored(gateways, timeouts=QUICK) as case:
        case.mirrors[0].on["blob"] = lies.waiting_for(Gate())
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert not case.available()


async def test_a_mirror_that_drips_is_slow_and_its_owner_goes_on(gateways: Gateways) -> None:
    """Each byte comes within ``timeouts.read``, and the last one never would."""
    async with mirrored(gateways, timeouts=QUICK) as case:
        case.mirrors[0].on["blob"] = lies.dripping(every=0.1, piece=100)
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert case.ranges()[0].startswith("bytes=")
        assert not case.available()


async def test_a_mirror_whose_connections_are_all_in_use_is_passed_over_soon_and_in_no_trouble(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apprproxy.app.members.BUSY_MIRROR", 0.1)
    gate = Gate()
    registry.push(APP, "1.0", BLOB, OTHER)
    other.on["GET blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url, "connections": 1}])})
    await gateway.get(TAG)
    busy = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    asking = asyncio.create_task(gateway.get(f"/v2/hub/{APP}/blobs/{digest(OTHER)}"))
    await asyncio.wait([asking], timeout=PATIENCE)
    available = gateway.metric("apprproxy_upstream_available", upstream="hub", source="mirror-1")
    gate.open()
    got, _ = await asking, await busy

    assert (200, OTHER) == (got.status, got.body)
    assert 1 == other.count("GET blob")
    assert 1 == available


async def test_a_silent_mirror_leaves_the_owner_time_to_answer_for_a_tag(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False, timeouts={"name": "2s", "read": "1m"}) as case:
        (mirror,) = case.mirrors
        mirror.on["manifest"] = lies.waiting_for(Gate())
        next_one = case.owner.push(APP, "2.0", OTHER)
        got, then = [await case.gateway.get(TAG.replace("1.0", tag)) for tag in ("1.0", "2.0")]

        assert (200, case.manifest, 200, next_one) == (got.status, got.body, then.status, then.body)
        assert not case.available()
        assert 1 == mirror.count("GET manifest"), "it is left alone then"


# --- an owner that is away


ACCOUNT = {"username": "me", "password": "secret", "share": True}


@pytest.mark.parametrize("said", [503, 404])
@pytest.mark.parametrize("auth", [None, ACCOUNT], ids=["public", "private"])
async def test_a_mirror_stands_in_for_its_owner_whatever_a_stranger_asked_for(
    auth: object, said: int, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not for what the owner says it lacks, nor for what only an account may see."""
    monkeypatch.setattr("apprproxy.gateway.flights.guest.LOOK", 0.1)
    async with Registry() as owner, Registry() as mirror, Registry() as evil:
        mirror.add_blob(APP, BLOB)
        evil.add_blob("evil/app", BLOB)
        if said == 503:
            owner.on["blob"] = lies.page(said)
        gate = Gate()
        evil.on["GET blob"] = stopping_at((HALF, gate))
        section = {"mirrors": [{"url": mirror.url}], **({"auth": auth} if auth else {})}
        gateway = await gateways.start({"hub": oci(owner, **section), "evil": evil})
        attack = await attacked(gateway, evil, "evil/evil/app", digest(BLOB))
        await gate.reached()
        got = await gateway.get(PATH)
        gate.open()
        await attack

    served = said == 503 and auth is None
    assert (200 if served else said) == got.status
    assert served == (mirror.count("GET blob") == 1)


@pytest.mark.parametrize("status", [404, 403, 400])
async def test_another_refusal_passes_it_over_this_once(gateways: Gateways, status: int) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.page(status)
        bodies = [await pulled_anew(case) for _ in range(2)]

        assert [BLOB] * 2 == bodies
        assert [2, 2] == case.asked()
