"""Any kind of mirror serves the bytes: another apprproxy, files behind a web server, an App Registry server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.appregistry.archives import MIB, chart, digest_of, empty_blocks, packed, tar_of
from tests.appregistry.registry import Answer
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


ZEROS = tar_of({"nginx/zeros": bytes(20 * MIB)})


@pytest.mark.parametrize(
    ("tar", "package"),
    [(ZEROS, packed(ZEROS)), (TAR, empty_blocks(TAR, 100_000)), (TAR, packed(TAR) + bytes(512))],
    ids=["unpacks to too much", "too much around it", "padded"],
)
async def test_a_package_of_a_sort_that_is_not_taken_distrusts_no_mirror_that_has_it_as_its_owner_does(
    gateways: Gateways, appr: list[Upstream], tar: bytes, package: bytes
) -> None:
    """Whoever may push one could have every mirror shut by a single pull."""
    owner, mirror = appr
    for one in appr:
        one.registry.push("alice/nginx", "2.0.0", "helm", packed(tar))
        one.twist = lambda _: Answer(200, package)
    gateway = await gateways.start({"old": {"kind": "appr", "url": owner.url, "mirrors": [{"url": mirror.url}]}})
    got = await gateway.get(PACKAGE.replace(digest_of(TAR).hex, digest_of(tar).hex))
    await gateway.at_rest()

    assert 502 == got.status
    assert [0] == [source.health._lies for source in gateway.app.members["old"].mirrors]


async def test_a_mirror_whose_package_is_not_taken_is_distrusted_once_its_owner_sends_another(
    gateways: Gateways, appr: list[Upstream]
) -> None:
    owner, mirror = appr
    mirror.twist = lambda _: Answer(200, packed(ZEROS))
    gateway = await gateways.start({"old": {"kind": "appr", "url": owner.url, "mirrors": [{"url": mirror.url}]}})
    got = await gateway.get(PACKAGE)
    await gateway.at_rest()

    assert (200, packed(TAR)) == (got.status, got.body)
    assert [1] == [source.health._lies for source in gateway.app.members["old"].mirrors]
