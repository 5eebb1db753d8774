"""Any kind of mirror serves the bytes: another apprproxy, files behind a web server, an App Registry server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.registry import Registry as AppRegistry
from tests.appregistry.upstream import Upstream
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, oci
from tests.fakes.ranged import stopping_at
from tests.fakes.registry import Registry
from tests.fakes.tree import tree
from tests.gateway.mirrors import APP, BLOB, HALF, PATH, TAG

TAR = chart("1.0.0")
PACKAGE = f"/old/cnr/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(TAR).hex}"


@pytest.fixture
async def appr() -> AsyncIterator[list[Upstream]]:
    """An owner and a mirror with the same package."""
    both = [Upstream(AppRegistry()), Upstream(AppRegistry())]
    for one in both:
        one.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
        await one.start()
    yield both
    for one in both:
        await one.stop()


async def test_another_apprproxy_spares_the_owner_the_bytes(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.push(APP, "1.0", BLOB)
    far = await gateways.start({"quay.io": other}, cache="far")
    near = await gateways.start({"hub": oci(registry, mirrors=[{"url": f"{far.url}/quay.io"}])}, cache="near")
    await near.get(TAG)
    got = await near.get(PATH)

    assert (200, BLOB) == (got.status, got.body)
    assert (0, 1) == (registry.count("GET blob"), other.count("GET blob"))


async def test_a_cache_directory_behind_a_web_server_spares_the_owner_the_bytes(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", BLOB)
    first = await gateways.start({"hub": registry}, cache="first")
    for path in (TAG, PATH):
        await first.get(path)
    await first.at_rest()
    asked: list[str] = []
    async with tree(first.cache, asked) as url:
        section = oci(registry, mirrors=[{"url": url, "kind": "static"}])
        second = await gateways.start({"hub": section}, cache="second")
        await second.get(TAG)
        got = await second.get(PATH)
        await second.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    assert 1 == registry.count("GET blob")
    assert 2 == len(asked)  # the manifest and the blob


async def test_a_cache_directory_behind_a_web_server_continues_what_broke_off(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    for one in (registry, other):
        one.push(APP, "1.0", BLOB)
    first = await gateways.start({"hub": registry}, cache="first")
    await first.get(PATH)
    await first.at_rest()
    other.on["blob"] = stopping_at((HALF, gate), (HALF, None))
    asked: list[str] = []
    async with tree(first.cache, asked) as url:
        section = oci(registry, mirrors=[{"url": other.url}, {"url": url, "kind": "static"}])
        second = await gateways.start({"hub": section}, cache="second")
        await second.get(TAG)
        pulling = asyncio.create_task(second.get(PATH))
        await until(lambda: second.arrived() > 0)
        gate.open()
        got = await pulling
        await second.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    assert 1 == registry.count("GET blob")
    assert ["range" in one for one in asked if digest(BLOB).partition(":")[2] in one] == [True]


@pytest.mark.parametrize("lying", [False, True])
async def test_an_app_registry_mirror_sends_packages_and_its_lies_are_passed_over(
    gateways: Gateways, appr: list[Upstream], lying: bool
) -> None:
    owner, mirror = appr
    if lying:
        mirror.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("6.6.6")))
        wrong = mirror.registry.answer("GET", PACKAGE.replace(digest_of(TAR).hex, digest_of(chart("6.6.6")).hex))
        mirror.twist = lambda _: wrong
    section = {"kind": "appr", "url": owner.url, "mirrors": [{"url": mirror.url}]}
    gateway = await gateways.start({"old": section})
    got = await gateway.get(PACKAGE)

    assert (200, packed(TAR)) == (got.status, got.body)
    assert (1, int(lying)) == (mirror.count("/blobs/"), owner.count("/blobs/"))
