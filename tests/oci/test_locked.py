"""Names of a registry that is not trusted for them come from its lock file, and not one from itself."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.lock import written
from apprproxy.settings import BadConfiguration
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

APP = "library/app"
TAG = f"/v2/hub/{APP}/manifests/1.0"
NAMES = ("tag", "tags", "referrers", "catalog")


def write(path: Path, **tags: bytes) -> None:
    """Tags of ``library/app``, with an underscore for a dot."""
    names = {f"{APP}:{tag.replace('_', '.').strip('v')}": Digest.of(content) for tag, content in tags.items()}
    path.write_text(written(names))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.lock.json"


async def locked(gateways: Gateways, registry: Registry, path: Path, **more: Any) -> Running:
    keys = {"names": "locked", "lock_file": str(path), "fresh_for": "0s", "stale_for": "0s"}
    return await gateways.start({"hub": oci(registry, **keys)}, **more)


async def test_a_locked_tag_is_what_the_lock_says_and_the_upstream_is_not_asked_for_it(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    content = registry.push(APP, "old", b"right")
    registry.push(APP, "1.0", b"forged")
    write(path, v1_0=content)
    gateway = await locked(gateways, registry, path)
    first, again, head = await gateway.get(TAG), await gateway.get(TAG), await gateway.head(TAG)

    assert [content, content] == [first.body, again.body]
    assert ["fwd=uri-miss; stored", "hit"] == [first.cache, again.cache]
    assert digest(content) == head.headers["Docker-Content-Digest"]
    assert [("GET", f"/v2/{APP}/manifests/{digest(content)}")] == [(one.method, one.target) for one in registry.seen]


async def test_a_name_that_is_not_in_the_lock_is_403_and_says_how_to_add_it(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    write(path, v1_0=registry.push(APP, "1.0", b"right"))
    registry.push("library/other", "1.0", b"other")
    gateway = await locked(gateways, registry, path)
    answers = [
        await gateway.get(f"/v2/hub/{name}")
        for name in (f"{APP}/manifests/2.0", "library/other/manifests/1.0", "library/other/tags/list")
    ]

    assert [(403, "DENIED")] * 3 == [(got.status, got.code) for got in answers]
    assert "apprproxy names lock TRUSTED/library/app:2.0" in answers[0].message
    assert 0 == registry.count()


async def test_lists_are_made_from_the_lock_and_referrers_are_not_served(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    content = registry.push(APP, "forged", b"right")
    write(path, v2_0=content, v1_0=content)
    gateway = await locked(gateways, registry, path)
    tags, page = await gateway.get(f"/v2/hub/{APP}/tags/list"), await gateway.get(f"/v2/hub/{APP}/tags/list?n=1")
    catalog = await gateway.get("/v2/hub/_catalog")
    referrers = await gateway.get(f"/v2/hub/{APP}/referrers/{digest(content)}")

    assert {"name": APP, "tags": ["1.0", "2.0"]} == orjson.loads(tags.body)
    assert ["1.0"] == orjson.loads(page.body)["tags"]
    assert [APP] == orjson.loads(catalog.body)["repositories"]
    assert (403, "DENIED") == (referrers.status, referrers.code)
    assert 0 == registry.count()


async def test_wrong_bytes_under_the_locked_digest_are_not_served(
    registry: Registry, gateways: Gateways, path: Path, clock: Clock
) -> None:
    content = registry.push(APP, "1.0", b"right")
    write(path, v1_0=content)
    registry.on["manifest"] = lies.says(200, content.replace(b"note", b"evil"))
    gateway = await locked(gateways, registry, path)
    lied = await gateway.get(TAG)
    registry.on.clear()
    clock.advance(11)

    assert (502, "UNAVAILABLE") == (lied.status, lied.code)
    assert content == (await gateway.get(TAG)).body


async def test_a_locked_name_never_goes_stale_and_needs_no_upstream(
    registry: Registry, gateways: Gateways, path: Path, clock: Clock
) -> None:
    content = registry.push(APP, "1.0", b"right")
    write(path, v1_0=content)
    gateway = await locked(gateways, registry, path)
    await gateway.get(TAG)
    await registry.stop()
    clock.advance(365 * 86400)
    after = await gateway.get(TAG, Cache_Control="no-cache")
    await gateway.close()
    offline = await locked(gateways, registry, path, offline=True)

    assert (content, "hit") == (after.body, after.cache)
    assert content == (await offline.get(TAG)).body


async def test_what_was_remembered_before_it_was_locked_is_forgotten(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    content = registry.push(APP, "good", b"right")
    registry.push(APP, "1.0", b"forged")
    before = await gateways.start({"hub": oci(registry, fresh_for="7d")})
    await before.get(TAG)
    await before.get(f"/v2/hub/{APP}/tags/list")
    await before.close()
    write(path, v1_0=content)
    gateway = await locked(gateways, registry, path, offline=False)

    assert content == (await gateway.get(TAG)).body
    assert ["1.0"] == orjson.loads((await gateway.get(f"/v2/hub/{APP}/tags/list")).body)["tags"]


async def test_a_changed_lock_takes_effect_at_once_and_a_broken_one_not_at_all(
    registry: Registry, gateways: Gateways, path: Path, logged: Logged
) -> None:
    one, two = registry.push(APP, "a", b"one"), registry.push(APP, "b", b"two")
    write(path, v1_0=one)
    gateway = await locked(gateways, registry, path)
    first = await gateway.get(TAG)
    write(path, v1_0=two, v2_0=two)
    second = await gateway.get(TAG)
    path.write_text('{"version": 1, "names": {"library/app:1.0": "sha256:bad"}}')
    third = await gateway.get(TAG)

    assert [one, two, two] == [first.body, second.body, third.body]
    assert "names.library/app:1.0: not a sha256 or sha512 digest; the version from before stays in force" in logged.text


async def test_a_view_asks_the_next_member_for_what_is_not_in_the_lock(
    registry: Registry, other: Registry, gateways: Gateways, path: Path
) -> None:
    right = registry.push(APP, "whatever", b"right")
    theirs = other.push(APP, "2.0", b"theirs")
    write(path, v1_0=right)
    gateway = await gateways.start(
        {"hub": oci(registry, names="locked", lock_file=str(path)), "second": oci(other)},
        views={"default": ["hub", "second"]},
    )

    assert right == (await gateway.get(f"/v2/{APP}/manifests/1.0")).body
    assert theirs == (await gateway.get(f"/v2/{APP}/manifests/2.0")).body
    assert 404 == (await gateway.get(f"/v2/{APP}/manifests/3.0")).status
    assert 0 == sum(map(registry.count, NAMES))


async def test_a_locked_manifest_that_the_upstream_has_not_is_no_absence(
    registry: Registry, other: Registry, gateways: Gateways, path: Path
) -> None:
    other.push(APP, "1.0", b"squatted")
    write(path, v1_0=b"nowhere")
    gateway = await gateways.start(
        {"hub": oci(registry, names="locked", lock_file=str(path)), "second": oci(other)},
        views={"default": ["hub", "second"]},
    )

    assert 502 == (await gateway.get(f"/v2/{APP}/manifests/1.0")).status
    assert 0 == other.count()


async def test_a_digest_that_the_lock_has_and_nobody_else_is_told_as_the_locks(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    write(path, v1_0=b"nowhere")
    gateway = await locked(gateways, registry, path)
    got = await gateway.get(TAG)

    assert f"hub: has no manifest {digest(b'nowhere')}, which its lock file has for '1.0'" == got.message


async def test_without_its_lock_file_the_gateway_does_not_start(
    registry: Registry, gateways: Gateways, path: Path
) -> None:
    with pytest.raises(BadConfiguration, match=r"upstreams\.hub\.lock_file: .*No such file.*names lock"):
        await locked(gateways, registry, path)
