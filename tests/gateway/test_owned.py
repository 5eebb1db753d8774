"""Owned names never leave, denied ones are never served, and bytes follow the same rules as names."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.fakes import lies
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

APP = "corp/app"
LAYER = b"layer"
PATHS = [
    f"{APP}/manifests/1.0",
    f"{APP}/manifests/{digest(b'manifest')}",
    f"{APP}/blobs/{digest(b'cold')}",
    f"{APP}/tags/list",
    f"{APP}/referrers/{digest(b'manifest')}",
    f"{APP}/manifests/sha256-{'0' * 64}.sig",
]
DOWN = lies.page(503)


@pytest.fixture
async def mirror() -> AsyncIterator[Registry]:
    """The stranger's."""
    async with Registry() as one:
        yield one


async def company(gateways: Gateways, owner: Registry, stranger: Registry, **more: Any) -> Running:
    """The stranger stands first wherever it can; ``more`` is said of it."""
    return await gateways.start(
        {"hub": oci(stranger, ns=["hub.test"], **more), "inner": oci(owner, own=["corp/*"])},
        views={"default": ["hub", "inner"], "both": ["hub", "inner"], "outside": ["hub"]},
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
async def test_no_request_for_an_owned_name_reaches_another_upstream(
    path: str, method: str, registry: Registry, other: Registry, mirror: Registry, gateways: Gateways
) -> None:
    other.push(APP, "1.0", LAYER)
    mirror.add_blob(APP, b"cold")
    gateway = await company(gateways, registry, other, mirrors=[{"url": mirror.url}])
    for prefix in ("", "both/", "inner/"):
        await gateway.ask(method, f"/v2/{prefix}{path}")
    reached = registry.count()
    refused = [await gateway.ask(method, f"/v2/{prefix}{path}") for prefix in ("hub/", "outside/")]
    refused.append(await gateway.ask(method, f"/v2/{path}?ns=hub.test"))

    assert [403] * 3 == [got.status for got in refused]
    assert (0, 0) == (other.count(), mirror.count())
    assert reached > 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
async def test_nor_does_one_while_the_owner_is_down(
    path: str, method: str, registry: Registry, other: Registry, mirror: Registry, gateways: Gateways
) -> None:
    other.push(APP, "1.0", LAYER)
    mirror.add_blob(APP, b"cold")
    await registry.stop()
    gateway = await company(gateways, registry, other, mirrors=[{"url": mirror.url}])
    failed = [await gateway.ask(method, f"/v2/{prefix}{path}") for prefix in ("", "both/", "inner/")]

    assert [502] * 3 == [got.status for got in failed]
    assert (0, 0) == (other.count(), mirror.count())


async def test_the_owners_content_is_served_though_a_stranger_registered_its_name(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push(APP, "1.0", LAYER)
    other.push(APP, "1.0", b"squatted")
    other.push(APP, "99.0", b"squatted too")
    gateway = await company(gateways, registry, other)
    named = await gateway.get(f"/v2/{APP}/manifests/1.0")

    assert (200, content) == (named.status, named.body)
    assert 404 == (await gateway.get(f"/v2/{APP}/manifests/99.0")).status
    assert ["1.0"] == orjson.loads((await gateway.get(f"/v2/{APP}/tags/list")).body)["tags"]
    assert 0 == other.count()


async def test_the_refusal_says_which_key_of_which_upstream(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await company(gateways, registry, other)
    refused = await gateway.get(f"/v2/hub/{APP}/manifests/1.0")

    assert (403, "DENIED") == (refused.status, refused.code)
    assert "'corp/app' is not served here: upstreams.inner.own has 'corp/*'" == refused.message


async def test_what_a_stranger_lists_under_an_owned_name_is_not_in_the_catalog(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LAYER)
    other.push("corp/squatted", "1.0", b"squatted")
    other.push("library/app", "1.0", LAYER)
    gateway = await company(gateways, registry, other)

    assert [APP, "library/app"] == orjson.loads((await gateway.get("/v2/_catalog")).body)["repositories"]
    assert ["library/app"] == orjson.loads((await gateway.get("/v2/hub/_catalog")).body)["repositories"]


async def test_an_outage_of_the_owner_after_the_name_was_found_changes_nothing(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push(APP, "1.0", LAYER)
    other.push(APP, "1.0", b"squatted")
    gateway = await company(gateways, registry, other)
    await gateway.get(f"/v2/{APP}/manifests/1.0")
    registry.on["tag"] = DOWN
    gateways.clock.advance(61)

    assert content == (await gateway.get(f"/v2/{APP}/manifests/1.0")).body
    assert 0 == other.count()


# --- deny and allow


@pytest.mark.parametrize("keys", [{"deny": ["corp/*"]}, {"allow": ["library/*"]}])
@pytest.mark.parametrize("path", PATHS)
async def test_a_denied_name_is_403_and_asked_of_nobody(
    path: str, keys: dict[str, list[str]], registry: Registry, gateways: Gateways
) -> None:
    gateway = await gateways.start({"hub": oci(registry, **keys)})
    refused = await gateway.get(f"/v2/hub/{path}")

    assert (403, "DENIED") == (refused.status, refused.code)
    assert f"upstreams.hub.{next(iter(keys))}" in refused.message
    assert 0 == registry.count()


async def test_bytes_of_a_denied_repository_are_403_although_they_are_held(
    registry: Registry, gateways: Gateways
) -> None:
    content = registry.push(APP, "1.0", LAYER)
    before = await gateways.start({"hub": registry})
    await before.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")
    await before.get(f"/v2/hub/{APP}/manifests/1.0")
    await before.at_rest()
    await before.close()
    gateway = await gateways.start({"hub": oci(registry, deny=["corp/*"])})
    paths = [f"blobs/{digest(LAYER)}", f"manifests/{digest(content)}", "manifests/1.0"]
    answers = [await gateway.ask(method, f"/v2/hub/{APP}/{path}") for path in paths for method in ("GET", "HEAD")]

    assert {403} == {got.status for got in answers}


async def test_what_came_through_a_denied_repository_is_not_shown_by_a_manifest_that_names_it(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LAYER)
    before = await gateways.start({"hub": registry})
    await before.get(f"/v2/hub/{APP}/manifests/1.0")
    await before.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")
    await before.at_rest()
    await before.close()
    registry.push("mallory/index", "1.0", LAYER)
    registry.lose("mallory/index", digest(LAYER))
    gateway = await gateways.start({"hub": oci(registry, deny=["corp/*"])})
    named = await gateway.get("/v2/hub/mallory/index/manifests/1.0")
    await gateway.at_rest()
    stolen = await gateway.get(f"/v2/hub/mallory/index/blobs/{digest(LAYER)}")

    assert (200, 404) == (named.status, stolen.status)
    assert LAYER not in stolen.body


async def test_a_view_passes_over_a_member_that_denies(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"denied")
    content = other.push("library/app", "1.0", LAYER)
    gateway = await gateways.start(
        {"first": oci(registry, deny=["library/*"]), "second": oci(other)}, views={"default": ["first", "second"]}
    )
    named = await gateway.get("/v2/library/app/manifests/1.0")

    assert (200, content) == (named.status, named.body)
    assert 0 == registry.count()


# --- names: refuse


async def test_an_upstream_that_is_refused_names_is_asked_by_digest_only(
    registry: Registry, gateways: Gateways
) -> None:
    content = registry.push(APP, "1.0", LAYER)
    gateway = await gateways.start({"hub": oci(registry, names="refuse")})
    by_name = [
        await gateway.get(f"/v2/hub/{path}")
        for path in (f"{APP}/manifests/1.0", f"{APP}/tags/list", f"{APP}/referrers/{digest(content)}", "_catalog")
    ]
    asked = registry.count()
    manifest = await gateway.get(f"/v2/hub/{APP}/manifests/{digest(content)}")
    head = await gateway.head(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")
    layer = await gateway.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")

    assert [(403, "DENIED")] * 4 == [(got.status, got.code) for got in by_name]
    assert all("upstreams.hub.names is refuse" in got.message for got in by_name)
    assert 0 == asked
    assert (content, 200, LAYER) == (manifest.body, head.status, layer.body)


async def test_a_view_passes_over_a_member_that_is_refused_names(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", b"a lie")
    registry.push("corp/only-there", "1.0", b"a lie")
    content = other.push(APP, "1.0", LAYER)
    gateway = await gateways.start(
        {"first": oci(registry, names="refuse"), "second": oci(other)}, views={"default": ["first", "second"]}
    )
    catalog = await gateway.get("/v2/_catalog")

    assert content == (await gateway.get(f"/v2/{APP}/manifests/1.0")).body
    assert [APP] == orjson.loads(catalog.body)["repositories"]
    assert "Apprproxy-Partial" not in catalog.headers
    assert 0 == registry.count()
