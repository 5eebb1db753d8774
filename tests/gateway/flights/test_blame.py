"""Nobody is blamed for what somebody else sent, or for a size that only a manifest states; and every flight ends."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.members.health import Health
from apprproxy.store.directory.place import prepare
from tests.fakes import lies
from tests.fakes.clock import START, Gate, until
from tests.fakes.content import IMAGE, digest, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.ranged import by_range, lying_by_range, ranges_asked, stopping_at
from tests.fakes.registry import Registry
from tests.fakes.tree import tree
from tests.gateway.test_unkept import without_room

MIB = 1024 * 1024
BLOB = some_bytes(2 * MIB)
SPOILT = bytes(4096) + BLOB[4096:]


def blob(repository: str = "library/app") -> str:
    return f"/v2/hub/{repository}/blobs/{digest(BLOB)}"


def stating(size: int) -> bytes:
    """A manifest that says so of the blob."""
    layer = {"mediaType": "application/octet-stream", "digest": digest(BLOB), "size": size}
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "layers": [layer]}).encode()


async def mirrored(gateways: Gateways, owner: Registry, mirror: Registry, **more: Any) -> Running:
    return await gateways.start({"hub": oci(owner, mirrors=[{"url": mirror.url}])}, **more)


def distrusted(gateway: Running) -> list[bool]:
    healths: list[Health] = [source.health for source in gateway.app.members["hub"].mirrors]
    return [health._distrust is not None for health in healths]


def left(cache: Path, content: bytes, source: str, due: int) -> None:
    """What a killed process left of the blob."""
    prepare(cache)
    part = cache / "ingest" / f"{digest(BLOB).replace(':', '-')}.part"
    part.write_bytes(content)
    os.utime(part, (START, START))
    said: Mapping[str, object] = {"expected": digest(BLOB), "size": due, "parts": [["hub", source, 0]]}
    part.with_suffix(".json").write_text(json.dumps(said))


# --- whose fault it is not


@pytest.mark.parametrize("behaviour", [by_range, lies.chunked(BLOB)], ids=["announced", "not announced"])
@pytest.mark.parametrize("size", [0, len(BLOB) - 1, len(BLOB) + 1, 1 << 40], ids=["zero", "less", "more", "too much"])
async def test_a_size_that_a_manifest_makes_up_does_not_distrust_an_honest_mirror(
    registry: Registry, other: Registry, gateways: Gateways, size: int, behaviour: Behaviour
) -> None:
    """Anybody may push a manifest, and so could shut out the mirrors of everybody for an hour."""
    for one in (registry, other):
        one.add_blob("evil/app", BLOB)
        one.add_blob("library/app", BLOB)
    registry.add_manifest("evil/app", stating(size), tag="1")
    other.on["GET blob"] = behaviour
    gateway = await mirrored(gateways, registry, other)
    await gateway.get("/v2/hub/evil/app/manifests/1")
    evil = await gateway.get(blob("evil/app"))
    good = await gateway.get(blob())
    await gateway.at_rest()

    assert (502, 200) == (evil.status, good.status)
    assert [False] == distrusted(gateway)
    assert BLOB == good.body


async def test_a_length_that_the_right_bytes_prove_wrong_distrusts_the_mirror(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    other.on["blob"] = lies.page(200)
    gateway = await mirrored(gateways, registry, other)
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [True] == distrusted(gateway)


@pytest.mark.parametrize("source", ["owner", "mirror-2"])
async def test_a_mirror_is_not_blamed_for_what_lay_on_the_disk(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path, source: str
) -> None:
    """A power cut leaves a file of the right length and of wrong bytes; nobody has been asked for anything yet."""
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
        one.on["blob"] = by_range
    left(tmp_path / "cache", SPOILT, source, len(BLOB))
    gateway = await mirrored(gateways, registry, other)
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [False] == distrusted(gateway)


async def test_an_honest_owner_is_not_refused_for_what_a_mirror_had_sent_that_is_not_asked_any_more(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    """Its operator has taken it out of the configuration; half of a blob stays of it."""
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = by_range
    left(tmp_path / "cache", SPOILT[:MIB], "mirror-1", len(BLOB))
    gateway = await gateways.start({"hub": registry})
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [f"bytes={MIB}-", ""] == ranges_asked(registry.seen)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total")


async def test_nor_for_what_another_upstreams_mirror_had_sent(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    async with Registry() as mirror:
        for one in (registry, other, mirror):
            one.add_blob("library/app", BLOB)
            one.on["blob"] = by_range
        mirror.on["blob"] = stopping_at((MIB, gate), (MIB, None), body=SPOILT)
        registry.on["GET blob"] = lies.says(500)
        gateway = await gateways.start({"a": oci(registry, mirrors=[{"url": mirror.url}]), "b": other})
        failing = asyncio.create_task(gateway.get(blob().replace("hub", "a")))
        await until(lambda: gateway.arrived() > 0)
        gate.open()
        failed = await failing
        await gateway.at_rest()
        answer = await gateway.get(blob().replace("hub", "b"))

    assert (502, 200, BLOB) == (failed.status, answer.status, answer.body)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="b")


async def test_an_owner_is_asked_for_the_whole_where_what_lay_on_the_disk_is_wrong(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    pushed = registry.push("library/app", "1.0", BLOB)
    registry.on["blob"] = by_range
    left(tmp_path / "cache", SPOILT, "owner", len(BLOB))
    gateway = await gateways.start({"hub": registry})
    tag = await gateway.get("/v2/hub/library/app/manifests/1.0")
    answer = await gateway.get(blob())

    assert pushed == tag.body
    assert (200, BLOB) == (answer.status, answer.body)


async def test_a_size_that_a_manifest_makes_up_does_not_throw_away_what_has_come(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.add_blob("evil/app", BLOB)
    registry.add_blob("library/app", BLOB)
    registry.add_manifest("evil/app", stating(len(BLOB) + 1), tag="1")
    registry.on["GET blob"] = by_range
    left(tmp_path / "cache", BLOB[:MIB], "owner", len(BLOB))
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/evil/app/manifests/1")
    evil = await gateway.get(blob("evil/app"))
    await gateway.at_rest()
    good = await gateway.get(blob())

    assert (502, 200, BLOB) == (evil.status, good.status, good.body)
    assert f"bytes={MIB}-" == ranges_asked(registry.seen)[-1]


def cut_short(body: bytes) -> Behaviour:
    """So many bytes of a length that is not told, and then the connection goes."""

    async def answer(request: web.BaseRequest, _: lies.Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        await asyncio.sleep(0.2)  # what an HTTP library has not handed over when the connection breaks is lost
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


@pytest.mark.parametrize("behaviour", [by_range, lies.honestly, lies.chunked(BLOB)], ids=["part", "whole", "unsized"])
@pytest.mark.parametrize("more", [-1000, 0, 1000], ids=["less", "as much", "more"])
async def test_an_honest_mirror_is_not_blamed_for_what_a_liar_before_it_sent(
    registry: Registry, other: Registry, gateways: Gateways, more: int, behaviour: Behaviour
) -> None:
    """It continues, says truthfully that this is all, or that it has less, where nobody has told the size."""
    async with Registry() as liar:
        for one in (registry, other):
            one.add_blob("library/app", BLOB)
            one.on["GET blob"] = behaviour
        registry.on["HEAD blob"] = lies.says(200)
        liar.on["GET blob"] = cut_short(bytes(len(BLOB) + more))
        mirrors = [{"url": liar.url}, {"url": other.url}]
        gateway = await gateways.start({"hub": oci(registry, mirrors=mirrors)})
        answer = await gateway.get(blob())
        await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [True, False] == distrusted(gateway)


async def test_an_honest_mirror_is_not_blamed_for_what_another_upstream_sent(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Whoever runs an upstream could shut out the mirrors of all others, blob by blob."""
    async with Registry() as stranger:
        for one in (registry, other):
            one.add_blob("library/app", BLOB)
            one.on["blob"] = by_range
        stranger.on["GET blob"] = cut_short(bytes(200_000))
        gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}]), "stranger": stranger})
        begun = await gateway.get(blob().replace("hub", "stranger"))
        await gateway.at_rest()
        answer = await gateway.get(blob())
        await gateway.at_rest()

    assert (502, 200, BLOB) == (begun.status, answer.status, answer.body)
    assert [False] == distrusted(gateway)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")


@pytest.mark.parametrize("knows", [True, False], ids=["stated", "not stated"])
async def test_what_another_upstream_left_that_is_longer_than_the_blob_is_thrown_away(
    registry: Registry, gateways: Gateways, knows: bool
) -> None:
    async with Registry() as stranger:
        registry.push("library/app", "1.0", BLOB)
        stranger.on["GET blob"] = cut_short(bytes(len(BLOB) + 100))
        gateway = await gateways.start({"hub": registry, "stranger": stranger})
        if knows:
            await gateway.get("/v2/hub/library/app/manifests/1.0")
        await gateway.get(blob().replace("hub", "stranger"))
        await gateway.at_rest()
        answer = await gateway.get(blob())

    assert (200, BLOB) == (answer.status, answer.body)


async def test_a_mirror_that_claims_another_size_is_distrusted_once_the_right_bytes_are_here(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    async with Registry() as broken:
        registry.add_blob("library/app", BLOB)
        registry.on["blob"] = by_range
        registry.on["HEAD blob"] = lies.says(200)
        broken.on["GET blob"] = cut_short(BLOB[:MIB])
        other.on["GET blob"] = lies.says(416, Content_Range="bytes */1000")
        mirrors = [{"url": broken.url}, {"url": other.url}]
        gateway = await gateways.start({"hub": oci(registry, mirrors=mirrors)})
        answer = await gateway.get(blob())
        await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [False, True] == distrusted(gateway)


# --- what is more than we take is a limit of ours


@pytest.mark.parametrize("behaviour", [by_range, lies.chunked(BLOB)], ids=["announced", "not announced"])
async def test_an_honest_mirror_of_what_is_larger_than_is_taken_here_keeps_its_trust(
    registry: Registry, other: Registry, gateways: Gateways, behaviour: Behaviour
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["HEAD blob"] = lies.page(503)
    other.on["GET blob"] = behaviour
    gateway = await mirrored(gateways, registry, other, delivery={"max_blob": "1MiB"})
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert 502 == answer.status
    assert [False] == distrusted(gateway)


async def test_whoever_asks_for_a_layer_as_if_it_were_a_manifest_distrusts_no_static_mirror(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    """It has bytes by their digest alone, whatever they are asked for as."""
    layer = some_bytes(9 * MIB)
    registry.add_blob("library/app", layer)
    path = tmp_path / "tree" / "blobs" / "sha256" / Digest.of(layer).hex
    path.parent.mkdir(parents=True)
    path.write_bytes(layer)
    asked: list[str] = []
    async with tree(tmp_path / "tree", asked) as url:
        gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": url, "kind": "static"}])})
        as_manifest = await gateway.get(f"/v2/hub/library/app/manifests/{digest(layer)}")
        answer = await gateway.get(f"/v2/hub/library/app/blobs/{digest(layer)}")
        await gateway.at_rest()

    assert (404, 200) == (as_manifest.status, answer.status)
    assert [False] == distrusted(gateway)
    assert (2, 0) == (len(asked), registry.count("GET blob"))


@pytest.mark.parametrize("lie", [lies.endless(), lies.says(200, BLOB + BLOB)], ids=["endless", "announced"])
async def test_a_mirror_that_sends_too_much_is_distrusted_once_the_right_bytes_are_here(
    registry: Registry, other: Registry, gateways: Gateways, lie: Behaviour
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["HEAD blob"] = lies.page(503)
    other.on["GET blob"] = lie
    gateway = await mirrored(gateways, registry, other, delivery={"max_blob": "3MiB"})
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [True] == distrusted(gateway)


# --- who broke off before the first byte has sent nothing


async def test_a_mirror_that_sends_headers_and_no_byte_does_not_keep_the_owners_bytes_back(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    later = Gate()
    for one in (registry, other):
        one.push("library/app", "1.0", BLOB)
    other.on["GET blob"] = stopping_at((0, None))
    registry.on["GET blob"] = stopping_at((MIB, later))
    gateway = await mirrored(gateways, registry, other, delivery={"patience": "0s"})
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    async with gateway.session.get(gateway.url + blob()) as response:
        early = await response.content.readexactly(1000)
        later.open()
        rest = await response.read()

    assert BLOB == early + rest


async def test_nor_does_it_make_the_owners_lie_a_mixture(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.push("library/app", "1.0", BLOB)
    other.on["GET blob"] = stopping_at((0, None))
    registry.on["GET blob"] = lies.says(200, SPOILT)
    gateway = await mirrored(gateways, registry, other)
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    answers = [await gateway.get(blob()) for _ in range(3)]

    assert {502} == {answer.status for answer in answers}
    assert 1 == registry.count("GET blob")
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", source="owner")


# --- every flight ends

ENDLESS: dict[str, Behaviour] = {
    "wrong bytes": stopping_at(body=SPOILT),
    "a wrong part": lying_by_range(start=1),
    "a part of something larger": lying_by_range(total=1),
}


@pytest.mark.parametrize("rest", ENDLESS.values(), ids=ENDLESS)
async def test_an_owner_that_breaks_off_and_continues_wrongly_is_not_asked_for_ever(
    registry: Registry, gateways: Gateways, tmp_path: Path, rest: Behaviour
) -> None:
    """Every beginning and every end used to be followed by another, with nobody waiting any more."""
    registry.push("library/app", "1.0", BLOB)
    arriving = tmp_path / "cache" / "ingest" / f"{digest(BLOB).replace(':', '-')}.part"

    class Arrived(Gate):
        async def __call__(self) -> None:
            await until(lambda: arriving.exists() and arriving.stat().st_size >= MIB // 2)

    half = stopping_at((MIB, Arrived()), (MIB, None), body=SPOILT)
    registry.on["GET blob"] = lies.in_turn(*((half, rest) * 10))
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert 502 == answer.status
    assert registry.count("GET blob") <= 6


# --- nothing is completed that is wrong


async def test_an_empty_answer_is_verified_too(registry: Registry, gateways: Gateways) -> None:
    """A manifest says that the blob is empty; the headers alone would complete the answer."""
    registry.add_blob("library/app", BLOB)
    registry.add_blob("evil/app", BLOB)
    registry.add_manifest("evil/app", stating(0), tag="1")
    gate = Gate()
    registry.on["GET blob"] = stopping_at((MIB, gate))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    await gateway.get("/v2/hub/evil/app/manifests/1")
    filling = asyncio.create_task(gateway.get(blob()))
    await gate.reached()
    asking = asyncio.create_task(gateway.get(blob("evil/app")))
    await asyncio.wait([asking], timeout=0.3)
    gate.open()
    await filling
    try:
        answer = await asking
        body = answer.body if answer.status == 200 else None
    except aiohttp.ClientPayloadError:
        body = None

    assert body in (None, BLOB)


async def test_headers_that_say_that_a_blob_is_empty_do_not_complete_what_could_not_be_kept(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = lies.chunked(BLOB)
    registry.on["HEAD blob"] = lies.says(200)
    gateway = await gateways.start({"hub": registry})
    without_room(gateway)
    answer = await gateway.get(blob())

    assert 500 <= answer.status


async def test_a_change_between_asking_for_it_and_waiting_is_not_missed() -> None:
    flight = Flight(Expected(Digest.of(BLOB)), ("hub",))
    change = flight.changed()
    flight.wake()

    async with asyncio.timeout(1):
        await change


async def test_an_owner_that_says_zero_to_every_head_is_not_taken_at_its_word(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    other.add_blob("library/app", BLOB)
    registry.on["HEAD blob"] = lies.says(200)
    gateway = await mirrored(gateways, registry, other)
    answer = await gateway.get(blob())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [False] == distrusted(gateway)
