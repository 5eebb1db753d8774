"""Only a *no* in the protocol's own words is a no, and it is remembered for a while."""

import json

import pytest

from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import oci_error
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
BLOB = f"/v2/hub/library/app/blobs/sha256:{'1' * 64}"


async def test_a_missing_tag_is_404_and_remembered_for_a_while(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway = await gateways.start({"hub": oci(registry, missing_for="10s")})
    missing = await gateway.get(TAG)
    asked = registry.count()
    clock.advance(9)
    again = await gateway.get(TAG)
    remembered = registry.count()
    content = registry.push("library/app", "1.0", b"layer")
    clock.advance(2)
    there = await gateway.get(TAG)

    assert (404, "MANIFEST_UNKNOWN") == (missing.status, missing.code)
    assert (404, "MANIFEST_UNKNOWN") == (again.status, again.code)
    assert asked == remembered
    assert (200, content) == (there.status, there.body)


@pytest.mark.parametrize("path", [TAG, BLOB], ids=["tag", "blob"])
async def test_a_remembered_no_is_told_apart_from_one_that_was_asked_for(
    registry: Registry, gateways: Gateways, logged: Logged, path: str
) -> None:
    gateway = await gateways.start({"hub": registry})
    for _ in range(3):
        await gateway.get(path)
    told = [line for line in map(json.loads, logged.text.splitlines()) if line["event"] == "request"]

    assert [(None, None), ("hit", "negative"), ("hit", "negative")] == [
        (line["cache"], line.get("detail")) for line in told
    ]
    assert 2 == gateway.metric("apprproxy_requests_total", status="404", cache="hit")


async def test_no_cache_looks_again_for_what_was_missing(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway = await gateways.start({"hub": oci(registry, missing_for="1h")})
    await gateway.get(TAG)
    content = registry.push("library/app", "1.0", b"layer")
    at_once = await gateway.get(TAG, Cache_Control="no-cache")
    clock.advance(1)
    later = await gateway.get(TAG, Cache_Control="no-cache")

    assert 404 == at_once.status
    assert content == later.body


async def test_a_bare_404_to_head_is_confirmed_by_get(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(404)
    gateway = await gateways.start({"hub": registry})

    assert content == (await gateway.get(TAG)).body
    assert ["HEAD", "GET"] == [seen.method for seen in registry.seen]


@pytest.mark.parametrize("status", [400, 405, 501])
async def test_where_head_is_refused_get_resolves_the_tag(registry: Registry, gateways: Gateways, status: int) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(status)
    gateway = await gateways.start({"hub": registry})

    assert content == (await gateway.get(TAG)).body


async def test_where_head_gives_no_digest_get_resolves_the_tag(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["tag"] = lies.without("Docker-Content-Digest")
    gateway = await gateways.start({"hub": registry})

    assert content == (await gateway.get(TAG)).body
    assert 2 == registry.count()


@pytest.mark.parametrize("path", [TAG, BLOB, "/v2/hub/library/app/tags/list"])
async def test_a_load_balancers_404_is_an_outage(registry: Registry, gateways: Gateways, path: str) -> None:
    for kind in ("tag", "tags", "blob"):
        registry.on[kind] = lies.page(404)
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(path)
    headed = await gateway.head(path)

    assert (502, "UNAVAILABLE") == (got.status, got.code)
    assert 502 == headed.status


async def test_an_outage_is_not_remembered_as_a_no(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["tag"] = lies.page(404)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(TAG)
    registry.on.clear()

    assert content == (await gateway.get(TAG)).body


async def test_what_is_gone_upstream_is_hidden(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, gone="follow")})
    await gateway.get(TAG)
    registry.delete("library/app", "1.0")
    clock.advance(61)

    assert 404 == (await gateway.get(TAG)).status
    assert 404 == (await gateway.get(TAG)).status


async def test_what_is_gone_upstream_is_kept_where_the_terms_say_so(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, gone="keep")})
    await gateway.get(TAG)
    registry.delete("library/app", "1.0")
    clock.advance(61)
    kept = await gateway.get(TAG)

    assert (200, content, "fwd=stale; fwd-status=404; detail=gone-upstream") == (kept.status, kept.body, kept.cache)


async def test_a_missing_blob_is_404(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(BLOB)
    headed = await gateway.head(BLOB)

    assert (404, "BLOB_UNKNOWN") == (got.status, got.code)
    assert 404 == headed.status


async def test_the_upstreams_own_words_reach_the_client(registry: Registry, gateways: Gateways) -> None:
    registry.on["tag"] = lies.says(404, oci_error("NAME_UNKNOWN", "nobody knows app"), Content_Type="application/json")
    gateway = await gateways.start({"hub": registry})
    missing = await gateway.get(TAG)

    assert 404 == missing.status
    assert "nobody knows app" in missing.message


async def test_what_its_owner_dropped_does_not_come_back_in_an_outage(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, stale_for="7d", missing_for="10s")})
    held = await gateway.get(TAG)
    registry.delete("library/app", "1.0")
    clock.advance(2)
    confirmed = await gateway.get(TAG, Cache_Control="no-cache")
    plain = await gateway.get(TAG)
    clock.advance(3600)
    registry.on["tag"] = lies.says(500)
    in_an_outage = await gateway.get(TAG)

    assert (200, 404, 404, 502) == (held.status, confirmed.status, plain.status, in_an_outage.status)


async def test_what_its_owner_did_not_let_us_see_stands_in_for_it_in_an_outage(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    """It was not dropped: that the question was refused says nothing of the name."""
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, stale_for="7d")})
    held = await gateway.get(TAG)
    clock.advance(3600)
    registry.on["tag"] = lies.says(403, oci_error("DENIED"))
    refused = await gateway.get(TAG)
    clock.advance(3600)
    registry.on["tag"] = lies.says(500)
    in_an_outage = await gateway.get(TAG)

    assert (200, 403, 200) == (held.status, refused.status, in_an_outage.status)


async def test_a_size_that_is_no_size_is_not_a_crash(registry: Registry, gateways: Gateways) -> None:
    registry.on["HEAD blob"] = lies.says(405)
    registry.on["GET blob"] = lies.says(206, b"x", Content_Range=f"bytes 0-0/{'9' * 30}")
    gateway = await gateways.start({"hub": registry})
    answer = await gateway.head(BLOB)

    assert 200 == answer.status
