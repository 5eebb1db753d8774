"""When the index is lost, who may see what is held is told anew from the names: an offline mirror serves on."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from apprproxy.app import build
from apprproxy.core.digest import Digest
from apprproxy.upkeep.findings import Fault
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.pins import pin, pins
from apprproxy.upkeep.recovery import recover
from apprproxy.upkeep.title import parse
from apprproxy.upkeep.verify import verify
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.upstream import Upstream
from tests.appregistry.upstream import running as app_registry
from tests.fakes import lies
from tests.fakes.clock import until
from tests.fakes.content import INDEX, digest, manifest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry, descriptor
from tests.test_serving import gateway

APP, SECRET, STRANGER = "library/app", "corp/secret", "mallory/index"
LAYER, OTHER, PRIVATE = some_bytes(300_000), some_bytes(300_000, "other"), b"private bytes"
TAR = chart("0.1.0")


@pytest.fixture
async def quay() -> AsyncIterator[Upstream]:
    async with app_registry() as quay:
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(TAR))
        yield quay


def indexed(registry: Registry) -> list[str]:
    """An index with an image, a signature that refers to it, and all the paths that a client asks for."""
    registry.add_blob(APP, b"{}")
    image = registry.push(APP, "1.0", LAYER)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(image, digest(image))]})
    registry.add_manifest(APP, index.encode(), tag="all")
    subject = descriptor(image, digest(image))
    signature = json.dumps({"schemaVersion": 2, "config": {}, "layers": [], "subject": subject}).encode()
    registry.add_manifest(APP, signature)
    names = [f"manifests/{name}" for name in ("all", digest(image))]
    names += [f"referrers/{digest(image)}", f"manifests/{digest(signature)}"]
    return [f"/v2/hub/{APP}/{name}" for name in [*names, f"blobs/{digest(b'{}')}", f"blobs/{digest(LAYER)}"]]


@asynccontextmanager
async def process(
    folder: Path, registry: Registry, quay: Upstream, **more: object
) -> AsyncIterator[aiohttp.ClientSession]:
    upstreams = {"hub": oci(registry), "quay": {"kind": "appr", "url": quay.url}}
    async with (
        gateway(folder, upstreams=upstreams, **more) as running,
        aiohttp.ClientSession(running.urls[0]) as client,
    ):
        yield client


async def statuses(client: aiohttp.ClientSession, paths: list[str]) -> dict[str, int]:
    found = {}
    for path in paths:
        async with client.get(path) as answer:
            await answer.read()
            found[path] = answer.status
    return found


async def test_an_offline_mirror_whose_index_was_deleted_serves_all_it_holds(
    registry: Registry, quay: Upstream, tmp_path: Path
) -> None:
    package = "/quay/cnr/api/v1/packages/alice/nginx"
    paths = [*indexed(registry), f"{package}/0.1.0/helm", f"{package}/blobs/sha256/{digest_of(TAR).hex}"]
    async with process(tmp_path, registry, quay) as client:
        before = await statuses(client, paths)
        cache, layer = tmp_path / "cache", digest(LAYER).removeprefix("sha256:")
        await until((cache / "blobs" / "sha256" / layer).exists)
        await until((cache / "unpacked" / "sha256" / digest_of(TAR).hex).exists)
    await registry.stop()
    await quay.stop()
    for file in (tmp_path / "cache").glob("index.db*"):
        file.unlink()
    async with process(tmp_path, registry, quay, offline=True) as client:
        after = await statuses(client, paths)

    assert dict.fromkeys(paths, 200) == before
    assert dict.fromkeys(paths, 200) == after


async def forgotten(running: Running) -> None:
    await running.at_rest()
    await running.close()
    for file in running.cache.glob("index.db*"):
        file.unlink()


def in_doubt(running: Running) -> None:
    """As where an index was begun anew."""
    with running.app.ledger.database.transaction() as db:
        db.execute("UPDATE totals SET recovered = 0")


async def recovered(registry: Registry, gateways: Gateways) -> Running:
    """A gateway without upstreams, which has found again what one before it had pulled."""
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/1.0")
    await running.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")
    await forgotten(running)
    again = await gateways.start({"hub": registry}, offline=True)
    await recover(again.app)
    return again


async def test_one_bad_sector_hides_no_other_image(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [some_bytes(300_000, seed=str(number)) for number in range(4)]
    running = await gateways.start({"hub": registry})
    for layer in layers:
        registry.push(APP, digest(layer)[-9:], layer)
        await running.get(f"/v2/hub/{APP}/manifests/{digest(layer)[-9:]}")
        await running.get(f"/v2/hub/{APP}/blobs/{digest(layer)}")
    await forgotten(running)
    bad = (running.cache / "blobs" / "sha256" / digest(layers[1]).removeprefix("sha256:")).stat().st_ino
    real = os.pread

    def pread(fd: int, count: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    again = await gateways.start({"hub": registry}, offline=True)
    await recover(again.app)
    seen = [await again.get(f"/v2/hub/{APP}/blobs/{digest(layer)}") for layer in layers]

    assert [200, 504, 200, 200] == [got.status for got in seen]


async def test_a_stranger_s_document_opens_nothing_that_an_account_showed(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    account = oci(registry, auth={"username": "bot", "password": "s3cret"})
    registry.push(SECRET, "1.0", PRIVATE)
    other.push(STRANGER, "1.0", PRIVATE)
    running = await gateways.start({"corp": account, "public": other})
    await running.get(f"/v2/corp/{SECRET}/manifests/1.0")
    await running.get(f"/v2/corp/{SECRET}/blobs/{digest(PRIVATE)}")
    await running.get(f"/v2/public/{STRANGER}/manifests/1.0")
    await forgotten(running)
    again = await gateways.start({"corp": account, "public": other}, offline=True)
    await recover(again.app)
    seen = [await again.get(f"/v2/{name}/blobs/{digest(PRIVATE)}") for name in (f"corp/{SECRET}", f"public/{STRANGER}")]

    assert [200, 504] == [got.status for got in seen]


async def test_a_stranger_s_claim_to_have_it_opens_nothing_that_an_account_showed(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    account = oci(registry, auth={"username": "bot", "password": "s3cret"})
    registry.add_blob(SECRET, PRIVATE)
    other.add_blob(STRANGER, PRIVATE)
    other.on["GET blob"] = lies.says(404)
    running = await gateways.start({"corp": account, "public": other})
    await running.get(f"/v2/corp/{SECRET}/blobs/{digest(PRIVATE)}")
    claimed = await running.get(f"/v2/public/{STRANGER}/blobs/{digest(PRIVATE)}")
    await forgotten(running)
    again = await gateways.start({"corp": account, "public": other}, offline=True)
    await recover(again.app)
    seen = await again.get(f"/v2/public/{STRANGER}/blobs/{digest(PRIVATE)}")

    assert 1 == other.count("HEAD blob")
    assert (502, 504) == (claimed.status, seen.status)


@pytest.mark.parametrize(("user", "status"), [("bot", 200), ("eve", 504)])
async def test_what_one_account_was_told_to_be_there_opens_nothing_for_another(
    user: str, status: int, registry: Registry, gateways: Gateways
) -> None:
    def account(name: str) -> dict[str, Any]:
        return {"corp": oci(registry, auth={"username": name, "password": "s3cret"})}

    registry.add_blob(SECRET, PRIVATE)
    path = f"/v2/corp/{SECRET}/blobs/{digest(PRIVATE)}"
    running = await gateways.start(account("bot"))
    told, got = await running.head(path), await running.get(path)
    await forgotten(running)
    again = await gateways.start(account(user), offline=True)
    await recover(again.app)
    seen = await again.get(path)

    assert (200, 200) == (told.status, got.status)
    assert status == seen.status


@pytest.mark.parametrize("user", ["bot", "eve", None])
async def test_what_names_say_that_another_account_was_told_opens_nothing(
    user: str | None, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Neither for its own upstream, as that is configured now, nor for a stranger whose document names the same."""

    def upstreams(name: str | None) -> dict[str, Any]:
        auth = {"auth": {"username": name, "password": "s3cret"}} if name is not None else {}
        return {"corp": oci(registry, **auth), "public": oci(other)}

    image = registry.push(SECRET, "1.0", PRIVATE)
    other.push(STRANGER, "1.0", PRIVATE, note="another document")
    other.push(APP, "1.0", LAYER)
    running = await gateways.start(upstreams("bot"))
    secret = [
        f"corp/{SECRET}/{what}" for what in ("manifests/1.0", f"manifests/{digest(image)}", f"blobs/{digest(PRIVATE)}")
    ]
    theirs = [f"public/{STRANGER}/manifests/1.0", f"public/{APP}/manifests/1.0", f"public/{APP}/blobs/{digest(LAYER)}"]
    before = [(await running.get(f"/v2/{path}")).status for path in (*secret, *theirs)]
    await forgotten(running)
    again = await gateways.start(upstreams(user), offline=True)
    await recover(again.app)
    seen = [(await again.get(f"/v2/{path}")).status for path in (*secret, *theirs)]
    strange = await again.get(f"/v2/public/{STRANGER}/blobs/{digest(PRIVATE)}")

    assert [200] * 6 == before
    assert [200 if user == "bot" else 504] * 3 == seen[:3]
    assert [200, 200, 200 if user is None else 504] == seen[3:], "beside an account layers are transferred once more"
    assert 504 == strange.status


@pytest.mark.parametrize("how", ["by tag", "by digest", "the layer alone"])
async def test_a_stranger_s_document_opens_nothing_that_no_name_of_its_account_leads_to(
    how: str, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    account = oci(registry, auth={"username": "bot", "password": "s3cret"})
    image = registry.push(SECRET, "1.0", PRIVATE)
    other.push(STRANGER, "1.0", PRIVATE)
    other.lose(STRANGER, digest(PRIVATE))
    names = {"by tag": ["manifests/1.0"], "by digest": [f"manifests/{digest(image)}"], "the layer alone": []}
    running = await gateways.start({"corp": account, "public": other})
    for path in [*names[how], f"blobs/{digest(PRIVATE)}"]:
        assert 200 == (await running.get(f"/v2/corp/{SECRET}/{path}")).status
    await running.get(f"/v2/public/{STRANGER}/manifests/1.0")
    await forgotten(running)
    again = await gateways.start({"corp": account, "public": other})
    await recover(again.app)
    seen = [await again.get(f"/v2/{name}/blobs/{digest(PRIVATE)}") for name in (f"corp/{SECRET}", f"public/{STRANGER}")]

    assert [200, 404] == [got.status for got in seen]


async def some_forgotten(gateways: Gateways, upstreams: dict[str, Any], *lost: bytes) -> None:
    """As by a power cut; a verification counts it again."""
    running = await gateways.start(upstreams)
    await recover(running.app)
    with running.app.ledger.database.transaction() as db:
        db.executemany("DELETE FROM blobs WHERE key = ?", [(digest(one),) for one in lost])
    await running.close()
    with opened(running.app.settings) as folder:
        found = [finding.fault for finding in verify(folder, lambda _: None)]

    assert [Fault.UNCOUNTED] * len(lost) == found


@pytest.mark.parametrize("left_out", ["the upstream", "its account", "its repository"])
async def test_where_some_of_the_index_is_lost_documents_open_nothing_that_came_by_what_the_configuration_left_out(
    left_out: str, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    host = registry if left_out == "its repository" else other
    registry.push(SECRET, "1.0", PRIVATE)
    host.push(STRANGER, "1.0", PRIVATE)
    host.lose(STRANGER, digest(PRIVATE))
    host.push(APP, "1.0", LAYER)
    upstreams = {"corp": oci(registry, auth={"username": "bot", "password": "s3cret"}), "public": oci(other)}
    theirs = "corp" if host is registry else "public"
    running = await gateways.start(upstreams)
    paths = (f"corp/{SECRET}/manifests/1.0", f"corp/{SECRET}/blobs/{digest(PRIVATE)}")
    for path in (*paths, f"{theirs}/{STRANGER}/manifests/1.0", f"{theirs}/{APP}/manifests/1.0"):
        assert 200 == (await running.get(f"/v2/{path}")).status
    assert 200 == (await running.get(f"/v2/{theirs}/{APP}/blobs/{digest(LAYER)}")).status
    await running.at_rest()
    await running.close()
    corp = {"its account": oci(registry), "its repository": {**upstreams["corp"], "deny": [SECRET]}}
    after = {name: section for name, section in {**upstreams, "corp": corp.get(left_out)}.items() if section}
    await some_forgotten(gateways, after, LAYER)
    again = await gateways.start(after, offline=True)
    await recover(again.app)
    seen = [
        (await again.get(f"/v2/{theirs}/{name}/blobs/{digest(content)}")).status
        for name, content in ((STRANGER, PRIVATE), (APP, LAYER))
    ]

    assert [504, 200] == seen


async def test_what_is_denied_after_some_of_the_index_was_lost_is_opened_by_no_document(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob(SECRET, PRIVATE)
    naming = registry.push(STRANGER, "1.0", PRIVATE)
    registry.lose(STRANGER, digest(PRIVATE))
    running = await gateways.start({"corp": registry})
    for path in (f"{STRANGER}/manifests/1.0", f"{SECRET}/blobs/{digest(PRIVATE)}"):
        assert 200 == (await running.get(f"/v2/corp/{path}")).status
    await running.at_rest()
    await running.close()
    await some_forgotten(gateways, {"corp": registry}, naming)
    statuses = []
    for denied in ([], [SECRET]):
        again = await gateways.start({"corp": oci(registry, deny=denied)}, offline=True)
        await recover(again.app)
        statuses.append((await again.get(f"/v2/corp/{STRANGER}/blobs/{digest(PRIVATE)}")).status)
        await again.close()

    assert [200, 504] == statuses


@pytest.mark.parametrize("pinned", [True, False])
async def test_beside_an_account_another_upstream_s_documents_open_what_its_own_pins_cover(
    pinned: bool, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    upstreams = {"corp": oci(registry, auth={"username": "bot", "password": "s3cret"}), "public": oci(other)}
    image = other.push(APP, "1.0", LAYER)
    running = await gateways.start(upstreams)
    for path in ("manifests/1.0", f"blobs/{digest(LAYER)}"):
        assert 200 == (await running.get(f"/v2/public/{APP}/{path}")).status
    await forgotten(running)
    again = await gateways.start(upstreams, offline=True)
    name = f"public/{APP}:1.0" if pinned else f"corp/{APP}:1.0"
    again.app.ledger.pinned.pin(name, Digest.parse(digest(image)))
    await recover(again.app)
    seen = [await again.get(f"/v2/public/{APP}/{path}") for path in ("manifests/1.0", f"blobs/{digest(LAYER)}")]

    assert [200, 200 if pinned else 504] == [got.status for got in seen]


async def package_named_by_a_stranger(other: Registry, quay: Upstream, gateways: Gateways) -> tuple[Running, str]:
    """A package that an account brought; an image of somebody else's has its gzip for a layer, which its registry has
    not. Its manifest's digest."""
    image = other.push(STRANGER, "1.0", packed(TAR))
    other.lose(STRANGER, digest(packed(TAR)))
    other.push(APP, "1.0", LAYER)
    running = await gateways.start(beside_packages(other, quay))
    paths = (f"{STRANGER}/manifests/1.0", f"{APP}/manifests/1.0", f"{APP}/blobs/{digest(LAYER)}")
    for path in ("/corp/cnr/api/v1/packages/alice/nginx/0.1.0/helm/pull", *(f"/v2/public/{one}" for one in paths)):
        assert 200 == (await running.get(path)).status
    await running.at_rest()
    return running, digest(image)


def beside_packages(other: Registry, quay: Upstream, **corp: Any) -> dict[str, Any]:
    auth = {"username": "bot", "password": "s3cret"}
    return {"corp": {"kind": "appr", "url": quay.url, "auth": auth, **corp}, "public": oci(other)}


@pytest.mark.parametrize("left_out", ["the upstream", "its account"])
async def test_nor_a_package_of_it_that_they_name_by_its_own_digest(
    left_out: str, other: Registry, quay: Upstream, gateways: Gateways
) -> None:
    running, _ = await package_named_by_a_stranger(other, quay, gateways)
    await running.close()
    after = beside_packages(other, quay, auth=None)
    if left_out == "the upstream":
        del after["corp"]
    await some_forgotten(gateways, after, LAYER)
    again = await gateways.start(after, offline=True)
    await recover(again.app)
    named = ((STRANGER, packed(TAR)), (APP, LAYER))
    seen = [await again.get(f"/v2/public/{name}/blobs/{digest(content)}") for name, content in named]

    assert [504, 200] == [got.status for got in seen]


async def test_nor_does_a_pin_of_a_stranger_s_cover_an_account_s_package_by_its_own_digest(
    other: Registry, quay: Upstream, gateways: Gateways
) -> None:
    running, image = await package_named_by_a_stranger(other, quay, gateways)
    await forgotten(running)
    again = await gateways.start(beside_packages(other, quay), offline=True)
    again.app.ledger.pinned.pin(f"public/{STRANGER}:1.0", Digest.parse(image))
    await recover(again.app)
    seen = await again.get(f"/v2/public/{STRANGER}/blobs/{digest(packed(TAR))}")

    assert 504 == seen.status


async def test_what_public_upstreams_share_is_shown_by_each(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    upstreams = {"one": registry, "two": other}
    running = await gateways.start(upstreams)
    for name, upstream in upstreams.items():
        upstream.push(APP, "1.0", LAYER)
        await running.get(f"/v2/{name}/{APP}/manifests/1.0")
        await running.get(f"/v2/{name}/{APP}/blobs/{digest(LAYER)}")
    await forgotten(running)
    again = await gateways.start(upstreams, offline=True)
    await recover(again.app)
    seen = [await again.get(f"/v2/{name}/{APP}/blobs/{digest(LAYER)}") for name in upstreams]

    assert [200, 200] == [got.status for got in seen]


async def test_a_locked_upstream_shows_what_its_lock_file_has(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    manifest, lock = registry.push(APP, "1.0", LAYER), tmp_path / "lock.json"
    lock.write_text(json.dumps({"version": 1, "names": {f"{APP}:1.0": digest(manifest)}}))
    hub = oci(registry, names="locked", lock_file=str(lock))
    running = await gateways.start({"hub": hub})
    paths = [f"/v2/hub/{APP}/manifests/1.0", f"/v2/hub/{APP}/blobs/{digest(LAYER)}"]
    for path in paths:
        assert 200 == (await running.get(path)).status
    await forgotten(running)
    again = await gateways.start({"hub": hub}, offline=True)
    await recover(again.app)

    assert [200, 200] == [(await again.get(path)).status for path in paths]


async def test_a_new_cache_has_lost_nothing_of_what_a_lock_file_has(
    registry: Registry, gateways: Gateways, tmp_path: Path, logged: Logged
) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"version": 1, "names": {f"{APP}:1.0": digest(LAYER)}}))
    running = await gateways.start({"hub": oci(registry, names="locked", lock_file=str(lock))})
    await recover(running.app)

    assert "recovered" not in logged.text


async def test_a_cache_that_was_filled_before_its_first_gateway_has_lost_nothing(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    registry.push(APP, "1.0", LAYER)
    filling = await gateways.start({"hub": registry})
    await filling.get(f"/v2/hub/{APP}/manifests/1.0")
    await filling.at_rest()
    await filling.close()
    running = await gateways.start({"hub": registry})
    recovered = await recover(running.app)

    assert recovered is None
    assert "recovered" not in logged.text


async def test_an_index_that_was_not_lost_is_let_be(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/1.0")
    in_doubt(running)
    first, second = await recover(running.app), await recover(running.app)

    assert first is not None
    assert second is None


async def test_another_repository_is_shown_nothing(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    again = await recovered(registry, gateways)
    seen = [await again.get(f"/v2/hub/{name}/blobs/{digest(LAYER)}") for name in (APP, STRANGER)]

    assert [200, 504] == [got.status for got in seen]


async def test_what_was_linked_is_counted_at_the_end(registry: Registry, gateways: Gateways) -> None:
    """Beyond its share it is forgotten again."""
    registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/1.0")
    await running.at_rest()
    ledger = running.app.ledger
    ledger.links.most = 0
    in_doubt(running)
    await recover(running.app)

    await until(lambda: ledger.database.read("SELECT count(*) FROM links") == [(0,)])


async def test_what_was_broken_off_begins_again(registry: Registry, gateways: Gateways) -> None:
    registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/1.0")
    in_doubt(running)
    broken_off = asyncio.create_task(recover(running.app))
    await asyncio.sleep(0)
    broken_off.cancel()
    await asyncio.wait([broken_off])
    lost = not running.app.ledger.recovered()
    await recover(running.app)

    assert lost
    assert running.app.ledger.recovered()


async def pinned_and_broken(registry: Registry, gateways: Gateways, title: str) -> tuple[Running, bytes]:
    """A gateway that has ended, with a pinned image that was used longest ago, another layer, and an index of which
    somebody met a broken page; the image's manifest."""
    image = registry.push(APP, "1.0", LAYER)
    other = registry.add_blob(APP, OTHER)
    running = await gateways.start({"hub": registry})
    for path in ("manifests/1.0", f"blobs/{digest(LAYER)}", f"blobs/{other}"):
        assert 200 == (await running.get(f"/v2/hub/{APP}/{path}")).status
    await running.at_rest()
    running.app.ledger.pinned.pin(title.format(digest(image)), Digest.parse(digest(image)))
    await running.close()
    os.utime(running.cache / "blobs" / "sha256" / digest(LAYER).removeprefix("sha256:"), (1, 1))
    (running.cache / "index.suspect").touch()
    return running, image


@pytest.mark.parametrize("title", [f"hub/{APP}:1.0", f"hub/{APP}@{{}}", "gone/app:1.0"])
async def test_what_a_pin_keeps_is_known_before_anything_is_evicted(
    registry: Registry, gateways: Gateways, title: str
) -> None:
    running, image = await pinned_and_broken(registry, gateways, title)
    settings = running.app.settings
    less = settings.cache.model_copy(update={"max_size": 400_000})
    await build(settings.model_copy(update={"cache": less})).close()

    assert {digest(image), digest(LAYER)} <= set(running.blobs)
    assert digest(OTHER) not in running.blobs


async def test_a_command_knows_what_a_pin_keeps_though_no_gateway_has_begun(
    registry: Registry, gateways: Gateways
) -> None:
    running, image = await pinned_and_broken(registry, gateways, f"hub/{APP}@{{}}")
    with opened(running.app.settings) as folder:
        (pin,) = pins(folder)
        closure = folder.ledger.pinned.closure(pin.name)

    assert {digest(image), digest(LAYER)} <= set(closure.held)


async def test_a_package_stays_pinned_though_no_upstream_speaks_its_protocol_any_more(
    registry: Registry, quay: Upstream, gateways: Gateways
) -> None:
    running = await gateways.start({"hub": registry, "quay": {"kind": "appr", "url": quay.url}})
    for path in ("0.1.0/helm", f"blobs/sha256/{digest_of(TAR).hex}"):
        await running.get(f"/quay/cnr/api/v1/packages/alice/nginx/{path}")
    await running.at_rest()
    await running.close()
    title = parse("quay/alice/nginx@0.1.0/helm")
    with opened(running.app.settings) as folder:
        made = pin(folder, title)
    (running.cache / "index.suspect").touch()
    alone = {"hub": running.app.settings.upstreams["hub"]}
    with opened(running.app.settings.model_copy(update={"upstreams": alone})) as folder:
        closure = folder.ledger.pinned.closure(title.text)

    assert (2, {}) == (made.held, made.missing)
    assert (2, 0) == (len(closure.held), len(closure.missing))


@pytest.mark.parametrize("blanks", [1, 5000])
async def test_a_document_that_begins_with_blanks_is_one(registry: Registry, gateways: Gateways, blanks: int) -> None:
    registry.add_blob(APP, LAYER)
    image = b"\r\n\t " * blanks + manifest(LAYER)
    registry.add_manifest(APP, image, tag="1.0")
    again = await recovered(registry, gateways)

    assert 200 == (await again.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")).status


@pytest.fixture
async def cut_off(registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> tuple[Running, bytes]:
    """A cache that had been used for a while, and its last image: it came just before the machine lost its power, so
    that nothing is left of what the index was told of it."""
    registry.push(APP, "0.9", OTHER)
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/0.9")
    await recover(running.app)
    await running.at_rest()
    await running.close()
    before = (running.cache / "index.db").read_bytes()
    running = await gateways.start({"hub": registry})
    image = registry.push(APP, "1.0", LAYER)
    for path in ("manifests/1.0", f"blobs/{digest(LAYER)}"):
        assert 200 == (await running.get(f"/v2/hub/{APP}/{path}")).status
    await forgotten(running)
    (running.cache / "index.db").write_bytes(before)
    monkeypatch.setattr("apprproxy.store.index.scan._boot", lambda: "another boot")
    return running, image


@pytest.mark.usefixtures("cut_off")
async def test_what_a_power_cut_took_from_the_index_is_told_anew(registry: Registry, gateways: Gateways) -> None:
    again = await gateways.start({"hub": registry}, offline=True)
    await recover(again.app)
    seen = [await again.get(f"/v2/hub/{APP}/{path}") for path in ("manifests/1.0", f"blobs/{digest(LAYER)}")]

    assert [200, 200] == [got.status for got in seen]


async def test_a_pin_covers_what_a_power_cut_took_from_the_index(
    registry: Registry, gateways: Gateways, cut_off: tuple[Running, bytes]
) -> None:
    running, image = cut_off
    again = await gateways.start({"hub": registry})
    await recover(again.app)
    await again.close()
    with opened(running.app.settings) as folder:
        pin(folder, parse(f"hub/{APP}:1.0"))
        closure = folder.ledger.pinned.closure(f"hub/{APP}:1.0")

    assert {digest(image), digest(LAYER)} <= set(closure.held)


async def test_what_a_verification_counts_is_told_anew(registry: Registry, gateways: Gateways) -> None:
    """As where blobs were put there by hand."""
    registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    await recover(running.app)
    for path in ("manifests/1.0", f"blobs/{digest(LAYER)}"):
        await running.get(f"/v2/hub/{APP}/{path}")
    await running.at_rest()
    with running.app.ledger.database.transaction() as db:
        db.execute("DELETE FROM blobs")
    await running.close()
    with opened(running.app.settings) as folder:
        found = [finding.fault for finding in verify(folder, lambda _: None)]
    again = await gateways.start({"hub": registry}, offline=True)
    await recover(again.app)

    assert [Fault.UNCOUNTED] * 2 == found
    assert 200 == (await again.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")).status
