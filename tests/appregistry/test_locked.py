"""Packages of a server that is not trusted for names: every document is composed from the lock file."""

import json
from pathlib import Path
from typing import Any

import pytest

from apprproxy.appregistry import shapes
from apprproxy.core.digest import Digest
from apprproxy.core.lock import written
from tests.appregistry.archives import chart, digest_of, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import Got, RunningGateway
from tests.appregistry.registry import as_json
from tests.appregistry.upstream import Upstream

NGINX = "alice/nginx"
BASE = "/cnr/api/v1/packages"
TARS = {version: chart(version) for version in ("0.1.0", "0.2.0", "1.0.0-rc.1")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "names.lock.json"
    names = {f"{NGINX}@{version}/helm": digest_of(tar) for version, tar in TARS.items()}
    names[f"{NGINX}@0.2.0/kpm"] = digest_of(TARS["0.1.0"])
    names["bob/redis@2.0.0/kpm"] = digest_of(TARS["0.2.0"])
    path.write_text(written(names))
    return path


@pytest.fixture
async def gateway(upstream: Upstream, start: Start, path: Path) -> RunningGateway:
    """In front of a server with the right bytes, that forges every document."""
    for tar in TARS.values():
        upstream.registry.push(NGINX, "9.9.9", "helm", packed(tar))
    upstream.twist = lambda target: (
        None if "/blobs/" in target else as_json([{"name": "forged", "releases": ["6.6.6"]}])
    )
    return await start({"quay": upstream}, names="locked", lock_file=str(path))


def names_asked(upstream: Upstream) -> list[str]:
    return [target for target in upstream.asked if "/blobs/" not in target]


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("0.1.0/helm", "0.1.0"),
        ("0.1.0/-", "0.1.0"),
        ("default/helm", "1.0.0-rc.1"),
        ("%3E%3D0.1.0/helm", "0.2.0"),
        ("%3C0.2.0/-", "0.1.0"),
    ],
)
async def test_a_pull_by_release_or_range_resolves_within_the_lock(
    asked: str, version: str, gateway: RunningGateway, upstream: Upstream
) -> None:
    pulled = await gateway.get(f"{BASE}/{NGINX}/{asked}/pull")
    as_document = await gateway.get(f"{BASE}/{NGINX}/{asked}/pull?format=json")

    assert (200, TARS[version]) == (pulled.status, unpacked(pulled.body))
    assert version == as_document.json["release"]
    assert [] == names_asked(upstream)


async def test_documents_are_of_the_protocols_shapes_and_say_what_the_lock_says(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    manifest = shapes.read_manifest((await gateway.get(f"{BASE}/{NGINX}/0.1.0/helm")).body)
    released = shapes.read_manifests((await gateway.get(f"{BASE}/{NGINX}/0.2.0")).body)
    shown = shapes.read_manifests((await gateway.get(f"{BASE}/{NGINX}")).body)
    helm = shapes.read_manifests((await gateway.get(f"{BASE}/{NGINX}?media_type=helm")).body)

    assert (NGINX, "0.1.0", "helm", digest_of(TARS["0.1.0"])) == (
        manifest.package,
        manifest.release,
        manifest.format,
        manifest.digest,
    )
    assert ["helm", "kpm"] == [one.format for one in released]
    assert (4, 3) == (len(shown), len(helm))
    assert [] == upstream.asked


async def test_lists_filters_and_search_are_made_from_the_lock(gateway: RunningGateway, upstream: Upstream) -> None:
    listed, formats, namespace, search = [
        (await gateway.get(f"{BASE}{query}")).json
        for query in ("", "?media_type=helm", "?namespace=bob", "/search?q=nginx")
    ]

    assert [NGINX, "bob/redis"] == [one["name"] for one in listed]
    assert (["1.0.0-rc.1", "0.2.0", "0.1.0"], "1.0.0-rc.1", ["helm"]) == (
        listed[0]["releases"],
        listed[0]["default"],
        listed[0]["manifests"],
    )
    assert [NGINX] == [one["name"] for one in formats]
    assert ["bob/redis"] == [one["name"] for one in namespace]
    assert [NGINX] == search
    assert [] == upstream.asked


def told(got: Got) -> tuple[int, Any]:
    return got.status, got.json.get("code")


@pytest.mark.parametrize(
    "below",
    [f"{NGINX}/9.9.9/helm", f"{NGINX}/9.9.9", f"{NGINX}/9.9.9/-/pull", "forged/forged", "forged/forged/channels"],
)
async def test_what_is_not_in_the_lock_is_403_and_says_how_to_add_it(
    below: str, gateway: RunningGateway, upstream: Upstream
) -> None:
    refused = await gateway.get(f"{BASE}/{below}")

    assert (403, "forbidden") == told(refused)
    assert "apprproxy names lock TRUSTED/" in refused.json["message"]
    assert [] == upstream.asked


async def test_the_command_that_adds_a_range_is_one_that_a_shell_takes(gateway: RunningGateway) -> None:
    refused = await gateway.get(f"{BASE}/{NGINX}/%3E9/helm")

    assert refused.json["message"].endswith(f"apprproxy names lock 'TRUSTED/{NGINX}@>9/helm'")


async def test_of_several_formats_one_must_be_named(gateway: RunningGateway) -> None:
    refused = await gateway.get(f"{BASE}/{NGINX}/0.2.0/-/pull")

    assert (400, "media-type non specified: [helm,kpm]") == (refused.status, refused.json["message"])
    assert 400 == (await gateway.get(f"{BASE}/{NGINX}/latest/-")).status


async def test_no_channel_is_locked(gateway: RunningGateway, upstream: Upstream) -> None:
    channels, one = await gateway.get(f"{BASE}/{NGINX}/channels"), await gateway.get(f"{BASE}/{NGINX}/channels/stable")

    assert (200, []) == (channels.status, channels.json)
    assert (403, "forbidden") == told(one)
    assert 403 == (await gateway.get("/cnr/version")).status
    assert [] == upstream.asked


async def test_bytes_that_are_not_the_locked_tar_are_not_served(gateway: RunningGateway, upstream: Upstream) -> None:
    right = upstream.registry.blobs[NGINX, digest_of(TARS["0.1.0"]).hex]
    upstream.registry.blobs[NGINX, digest_of(TARS["0.1.0"]).hex] = packed(b"forged" * 100)
    lied = await gateway.get(f"{BASE}/{NGINX}/0.1.0/helm/pull")
    upstream.registry.blobs[NGINX, digest_of(TARS["0.1.0"]).hex] = right
    gateway.clock.advance(11)

    assert 502 == lied.status
    assert TARS["0.1.0"] == unpacked((await gateway.get(f"{BASE}/{NGINX}/0.1.0/helm/pull")).body)


async def test_a_changed_lock_is_no_moved_release(gateway: RunningGateway, path: Path) -> None:
    await gateway.get(f"{BASE}/{NGINX}/0.1.0/helm/pull")
    names = {name: Digest.parse(one) for name, one in json.loads(path.read_text())["names"].items()}
    path.write_text(written({**names, f"{NGINX}@0.1.0/helm": digest_of(TARS["0.2.0"])}))

    assert TARS["0.2.0"] == unpacked((await gateway.get(f"{BASE}/{NGINX}/0.1.0/helm/pull")).body)
    assert 0 == gateway.total("apprproxy_moved_names_total")
