"""A digest is shared by whoever names it, and nobody can keep it from the others by the way in which it does."""

import asyncio

import pytest
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import until
from tests.fakes.content import digest, oci_error, some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import part_of
from tests.fakes.registry import Registry

BLOB = some_bytes(300_000)


@pytest.mark.parametrize("what", ["blob", "manifest", "tag"])
async def test_an_upstream_that_drips_keeps_no_bytes_from_another_upstreams_clients(
    what: str, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push("library/app", "1.0", BLOB)
    other.push("evil/app", "1.0", BLOB)
    other.add_blob("evil/app", content)
    other.on["GET blob"] = other.on["GET manifest"] = lies.dripping(0.5, 1)
    gateway = await gateways.start({"hub": registry, "evil": other})
    wanted = f"blobs/{digest(BLOB)}" if what == "blob" else f"manifests/{digest(content)}"
    attack = asyncio.create_task(gateway.get(f"/v2/evil/evil/app/{wanted}"))
    await until(lambda: other.count("GET blob") + other.count("GET manifest") == 1)
    attack.cancel()
    got = await gateway.get(f"/v2/hub/library/app/{'manifests/1.0' if what == 'tag' else wanted}")

    assert (200, BLOB if what == "blob" else content) == (got.status, got.body)


async def test_two_upstreams_that_are_slow_take_turns_until_all_is_there(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apprproxy.gateway.pace.LOOK", 0.2)
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
        one.on["GET blob"] = lies.dripping(0.5, 150_000)
    gateway = await gateways.start({"hub": registry, "far": other})
    answers = await asyncio.gather(
        *(gateway.get(f"/v2/{name}/library/app/blobs/{digest(BLOB)}") for name in ("hub", "far"))
    )

    assert {(200, BLOB)} == {(got.status, got.body) for got in answers}
    assert registry.count("GET blob") + other.count("GET blob") <= 8, "longer turns each time"


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


@pytest.mark.parametrize("piece", [1, 10_000], ids=["a byte", "20 KiB"])
async def test_neither_a_slow_beginning_nor_a_trickle_is_what_everybody_waits_for(
    piece: int, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """The owner takes longer than a turn to begin; the stranger begins at once, and goes on for hours."""
    wanted = registry.add_blob("library/app", BLOB)
    other.add_blob("evil/app", BLOB)
    registry.on["GET blob"] = lies.late(3)
    other.on["GET blob"] = lies.dripping(0.5, piece)
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = asyncio.create_task(gateway.get(f"/v2/evil/evil/app/blobs/{wanted}"))
    await until(lambda: other.count("GET blob") == 1)
    got = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    attack.cancel()

    assert (200, BLOB) == (got.status, got.body)


async def test_an_upstream_that_mixes_wrong_bytes_in_again_and_again_convicts_nobody_else(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """In the name of one repository after the other, while the owner sends what is right."""
    wanted = registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = in_time
    other.on["HEAD blob"] = lies.says(200, Docker_Content_Digest=wanted)
    other.on["GET blob"] = beginning(b"x" * 1000)
    gateway = await gateways.start({"hub": registry, "evil": other})
    attack = [asyncio.create_task(gateway.get(f"/v2/evil/r/0/blobs/{wanted}"))]
    await until(lambda: other.count("GET blob") == 1)
    victim = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}"))
    for number in range(1, 8):
        attack.append(asyncio.create_task(gateway.get(f"/v2/evil/r/{number}/blobs/{wanted}")))
        await asyncio.sleep(0.1)
    got = await victim
    await asyncio.gather(*attack)

    assert (200, BLOB) == (got.status, got.body)
    assert 0 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")


async def in_time(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
    part, _ = part_of(request, honest)
    response = web.StreamResponse(status=part.status, headers=part.headers)
    response.content_length = len(part.body)
    await response.prepare(request)
    for at in range(0, len(part.body), 60_000):
        await response.write(part.body[at : at + 60_000])
        await asyncio.sleep(0.05)
    return response


def beginning(body: bytes) -> lies.Behaviour:
    """And to whoever wants the rest, that there is none."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        if "Range" in request.headers:
            return await lies.says(404, oci_error("BLOB_UNKNOWN"))(request, Honest(404))
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer
