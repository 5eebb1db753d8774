"""`GET /api/provenance` through the real gateway: what is told of what is held, and what is told to nobody."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import UnknownPlace
from apprproxy.core.lock import written
from apprproxy.finding import provenance
from tests.api.test_search import appr, document, quay
from tests.appregistry.archives import chart, digest_of, packed
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate, until
from tests.fakes.content import INDEX, digest, some_bytes
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry

APP = "library/app"
START = "2027-01-15T08:00:00Z"
LAYER = b"layer"


async def ask(gateway: Running, name: str) -> Got:
    return await gateway.get(f"/api/provenance?name={quote(name)}")


async def told(gateway: Running, name: str = f"hub/{APP}:1.0") -> dict[str, Any]:
    return document(await ask(gateway, name))


async def code(gateway: Running, name: str) -> tuple[int, str]:
    got = await ask(gateway, name)
    return got.status, json.loads(got.body)["code"]


async def pull(gateway: Running, repository: str = APP, tag: str = "1.0", layer: bytes = LAYER) -> None:
    assert 200 == (await gateway.get(f"/v2/hub/{repository}/manifests/{tag}")).status
    assert 200 == (await gateway.get(f"/v2/hub/{repository}/blobs/{digest(layer)}")).status
    await gateway.at_rest()


async def test_an_image_says_where_each_of_its_parts_came_from(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    manifest = registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": registry})
    await pull(gateway)
    asked = registry.count()
    clock.advance(3600)
    found = await told(gateway)
    first, config, layer = found["parts"]

    assert (f"hub/{APP}:1.0", "oci", "hub", digest(manifest)) == (
        found["name"],
        found["kind"],
        found["owner"],
        found["digest"],
    )
    assert (START, START, False, []) == (found["since"], found["checked"], found["pinned"], found["refused"])
    assert {"digest": digest(manifest), "at": START, "moved_to": None} == found["first_seen"]
    assert [{"source": "owner", "at": START}] == first["sources"] == layer["sources"]
    assert (digest(LAYER), True, len(LAYER)) == (layer["digest"], layer["held"], layer["size"])
    assert layer["verified"] is not None
    assert (digest(b"{}"), False, None, []) == (config["digest"], config["held"], config["size"], config["sources"])
    assert asked == registry.count(), "nobody is asked"


async def test_a_mirror_that_sent_the_bytes_is_named_and_one_that_lied_as_well(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LAYER)
    other.push(APP, "1.0", LAYER)
    other.on["blob"] = lies.says(200, b"wrong")
    async with Registry() as third:
        third.push(APP, "1.0", LAYER)
        mirrors = [{"url": other.url}, {"url": third.url}]
        gateway = await gateways.start({"hub": oci(registry, mirrors=mirrors)})
        await pull(gateway)
        found = await told(gateway)
        await gateway.close()
    after = await told(await gateways.start({"hub": registry}))

    layer = found["parts"][2]
    assert ["mirror-2"] == [came["source"] for came in layer["sources"]]
    assert [(digest(LAYER), "mirror-1", digest(LAYER), digest(b"wrong"), START)] == [
        (one["subject"], one["source"], one["expected"], one["got"], one["at"]) for one in found["refused"]
    ]
    assert found["refused"] == after["refused"], "a restart does not forget it"


async def test_all_who_contributed_are_named(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gate, large = Gate(), some_bytes(1_000_000)
    for one in (registry, other):
        one.push(APP, "1.0", large)
        one.on["blob"] = by_range
    half = len(large) // 2
    other.on["blob"] = stopping_at((half, gate), (half, None))
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    pulling = asyncio.create_task(pull(gateway, layer=large))
    await until(lambda: gateway.arrived() > 1000)  # not the manifest's
    gate.open()
    await pulling
    layer = (await told(gateway))["parts"][2]

    assert ["mirror-1", "owner"] == [came["source"] for came in layer["sources"]]


async def test_an_answer_that_was_wrong_by_its_length_is_told_as_well(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LAYER)
    other.on["blob"] = lies.says(200, b"longer")
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await pull(gateway)
    (refused,) = (await told(gateway))["refused"]

    assert ("mirror-1", digest(LAYER), None) == (refused["source"], refused["expected"], refused["got"])
    assert f"announced 6 bytes where {len(LAYER)} are due" == refused["reason"]


async def test_a_package_says_its_tar_and_a_release_that_moved(gateways: Gateways, clock: Clock) -> None:
    async with quay("alice/nginx") as one:
        gateway = await gateways.start({"old": appr(one)})
        await gateway.get("/old/cnr/api/v1/packages/alice/nginx/1.9.0/helm/pull")
        first = str(digest_of(chart("1.9.0")))
        one.registry.push("alice/nginx", "1.9.0", "helm", packed(chart("9.9.9")))
        clock.advance(61)
        await gateway.get("/old/cnr/api/v1/packages/alice/nginx/1.9.0/helm/pull")
        await gateway.at_rest()
        found = await told(gateway, "old/alice/nginx@1.9.0/helm")

    moved = str(digest_of(chart("9.9.9")))
    (part,) = found["parts"]
    assert ("old/alice/nginx@1.9.0/helm", "appr", first) == (found["name"], found["kind"], found["digest"])
    assert (first, moved) == (found["first_seen"]["digest"], found["first_seen"]["moved_to"])
    assert (True, True, ["owner"]) == (part["held"], part["unpacked"], [came["source"] for came in part["sources"]])
    assert [("alice/nginx@1.9.0/helm", moved)] == [(one["subject"], one["got"]) for one in found["refused"]]


async def test_a_release_needs_its_format_only_where_there_are_several(gateways: Gateways) -> None:
    async with quay("alice/nginx", "alice/both") as one:
        one.registry.push("alice/both", "1.0.0", "kpm", packed(chart("1.0.0")))
        gateway = await gateways.start({"old": appr(one)})
        for package in ("nginx", "both"):
            await gateway.get(f"/old/cnr/api/v1/packages/alice/{package}/1.0.0")
        only = await told(gateway, "old/alice/nginx@1.0.0")
        refused = await ask(gateway, "old/alice/both@1.0.0")

    assert "old/alice/nginx@1.0.0/helm" == only["name"]
    assert 400 == refused.status
    assert "alice/both@1.0.0/helm, alice/both@1.0.0/kpm" in json.loads(refused.body)["message"]


async def test_a_release_that_was_pulled_without_a_format_as_well_has_no_further_one(
    gateways: Gateways, clock: Clock
) -> None:
    async with quay("alice/nginx") as one:
        gateway = await gateways.start({"old": appr(one)})
        await gateway.get("/old/cnr/api/v1/packages/alice/nginx/1.0.0/-")
        await gateway.at_rest()
        gateway.app.names.discard([(upstream, key) for upstream, key, _ in gateway.app.names.all_names()])
        await gateway.get("/old/cnr/api/v1/packages/alice/nginx/1.0.0/helm")
        await gateway.at_rest()
        settings = gateway.app.settings
        await gateway.close()

    assert "old/alice/nginx@1.0.0/helm" == (await provenance(settings, "old/alice/nginx@1.0.0", now=clock))["name"]


async def test_a_command_finds_the_format_by_which_a_release_was_pulled(gateways: Gateways, clock: Clock) -> None:
    async with quay("alice/nginx", "alice/both") as one:
        one.registry.push("alice/both", "1.0.0", "kpm", packed(chart("1.0.0")))
        gateway = await gateways.start({"old": appr(one)})
        for title in ("nginx/1.0.0/helm", "both/1.0.0/helm", "both/1.0.0/kpm"):
            assert 200 == (await gateway.get(f"/old/cnr/api/v1/packages/alice/{title}/pull")).status
        await gateway.at_rest()
        settings = gateway.app.settings
        await gateway.close()

    assert "old/alice/nginx@1.0.0/helm" == (await provenance(settings, "old/alice/nginx@1.0.0", now=clock))["name"]
    with pytest.raises(UnknownPlace, match=r"say which of .*@1\.0\.0/helm, .*@1\.0\.0/kpm$"):
        await provenance(settings, "old/alice/both@1.0.0", now=clock)
    for never in ("old/alice/nginx@1.0", "old/alice/nginx"):
        with pytest.raises(UnknownPlace, match=r"^(nothing|there is no)"):
            await provenance(settings, never, now=clock)


@pytest.mark.parametrize("place", ["old", "packages"])
async def test_of_a_channel_it_is_said_what_to_ask(gateways: Gateways, place: str) -> None:
    async with quay("alice/nginx") as one:
        gateway = await gateways.start({"old": appr(one)}, views={"packages": ["old"]})
        got = await ask(gateway, f"{place}/alice/nginx:stable")

    assert 404 == got.status
    assert f"write {place}/alice/nginx@RELEASE/FORMAT" in json.loads(got.body)["message"]


async def test_a_pinned_name_says_so(registry: Registry, gateways: Gateways) -> None:
    manifest = registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": registry})
    await pull(gateway)
    gateway.app.ledger.pinned.pin(f"hub/{APP}:1.0", Digest.parse(digest(manifest)))

    assert (await told(gateway))["pinned"]


async def test_without_a_prefix_the_default_view_is_meant(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": registry})
    await pull(gateway)

    assert f"hub/{APP}:1.0" == (await told(gateway, f"{APP}:1.0"))["name"]


# --- what is told to nobody


async def test_nobody_is_made_out_to_own_a_name_whom_a_pull_would_not_ask(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"squatted")
    gateway = await gateways.start({"first": registry, "second": other}, views={"default": ["first", "second"]})
    await gateway.get("/v2/second/library/app/manifests/1.0")
    unknown = await gateway.get("/api/provenance?name=library/app:1.0")
    await gateway.get("/v2/library/app/manifests/1.0")

    assert 404 == unknown.status
    assert "first" == (await told(gateway, "library/app:1.0"))["owner"]


async def test_what_is_not_held_is_404_and_asks_nobody(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": registry})

    assert (404, "not-found") == await code(gateway, f"hub/{APP}:1.0")
    assert (404, "not-found") == await code(gateway, f"hub/{APP}@1.0")
    assert 0 == registry.count()


async def test_what_the_rules_refuse_is_not_told(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    before = await gateways.start({"hub": registry})
    await pull(before)
    await before.close()
    denied = await gateways.start({"hub": oci(registry, deny=["library/*"])})
    first = await code(denied, f"hub/{APP}:1.0")
    await denied.close()
    untrusted = await gateways.start({"hub": oci(registry, names="refuse")})

    assert [(403, "denied")] * 2 == [first, await code(untrusted, f"hub/{APP}:1.0")]


async def test_a_lock_file_is_believed_and_not_what_was_remembered_before_it(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    for tag in ("1.0", "2.0"):
        registry.push(APP, tag, LAYER, note=tag)
    good = digest(registry.push(APP, "good", LAYER))
    before = await gateways.start({"hub": registry})
    for tag in ("1.0", "2.0", "good"):
        await pull(before, tag=tag)
    await before.close()
    lock = tmp_path / "lock.json"
    lock.write_text(written({f"{APP}:1.0": Digest.parse(good)}))
    gateway = await gateways.start({"hub": oci(registry, names="locked", lock_file=str(lock))})
    found = await told(gateway)

    assert (good, None, None) == (found["digest"], found["since"], found["checked"]), "its upstream never said so"
    assert (403, "denied") == await code(gateway, f"hub/{APP}:2.0")


async def test_a_strangers_manifest_learns_nothing_of_what_was_refused_on_the_way_to_them(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("private/app", "1.0", LAYER)
    other.on["blob"] = lies.says(200, b"wrong")
    before = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    await pull(before, "private/app")
    refused = (await told(before, "hub/private/app:1.0"))["refused"]
    await before.close()
    registry.push("mallory/index", "1.0", LAYER)
    registry.lose("mallory/index", digest(LAYER))
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}], deny=["private/*"])})
    await gateway.get("/v2/hub/mallory/index/manifests/1.0")
    await gateway.at_rest()

    assert 1 == len(refused)
    assert [] == (await told(gateway, "hub/mallory/index:1.0"))["refused"]


async def test_a_strangers_manifest_learns_nothing_of_private_bytes(registry: Registry, gateways: Gateways) -> None:
    secret = registry.push("private/app", "1.0", LAYER)
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{"mediaType": "x/y", "digest": digest(secret), "size": len(secret)}],
        }
    ).encode()
    async with Registry() as foreign:
        foreign.add_manifest("stranger/app", index, tag="1.0")
        gateway = await gateways.start({"hub": registry, "far": foreign})
        await pull(gateway, "private/app")
        await gateway.get("/v2/far/stranger/app/manifests/1.0")
        found = await told(gateway, "far/stranger/app:1.0")

    assert [(digest(secret), False, None, [])] == [
        (one["digest"], one["held"], one["verified"], one["sources"]) for one in found["parts"][1:]
    ]


async def test_nobody_is_told_what_is_named_by_a_document_that_another_account_brought(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LAYER)
    before = await gateways.start({"hub": oci(registry, auth={"username": "bot", "password": "hunter2"})})
    await pull(before)
    theirs = (await told(before))["parts"]
    await before.close()
    after = await gateways.start({"hub": registry})
    mine = await ask(after, f"hub/{APP}:1.0")

    assert 3 == len(theirs)
    assert 404 == mine.status


async def test_the_same_bytes_elsewhere_do_not_name_the_other_repository(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push("private/app", "1.0", LAYER)
    registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": oci(registry, auth={"username": "bot", "password": "hunter2"})})
    await pull(gateway, "private/app")
    await pull(gateway)
    got = await ask(gateway, f"hub/{APP}:1.0")

    assert 200 == got.status
    identity = gateway.app.members["hub"].identity.encode()
    assert not [word for word in (b"private", b"hunter2", b"bot", registry.url.encode(), identity) if word in got.body]
    assert {"confirmed"} == {came["source"] for came in document(got)["parts"][0]["sources"]} | {"confirmed"} - {
        "owner"
    }


@pytest.mark.parametrize("name", ["", "hub/a b:1", "a" * 10_240, "hub/a\x1b:1", "hub/a\u202eb:1"])
async def test_what_is_no_text_of_a_name_is_refused(registry: Registry, gateways: Gateways, name: str) -> None:
    gateway = await gateways.start({"hub": registry})

    assert (400, "malformed") == await code(gateway, name)


@pytest.mark.parametrize("name", ["hub", "hub/app:", "hub/app", "hub/../x:1", "hub/APP:1", "hub/a@", "hub/@1"])
async def test_what_can_be_no_name_is_not_held(registry: Registry, gateways: Gateways, name: str) -> None:
    gateway = await gateways.start({"hub": registry})

    assert (404, "not-found") == await code(gateway, name)
