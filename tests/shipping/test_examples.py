"""The examples do what they are for: each is started as it stands, pulled through, and its worst day arrives."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.store.names.lock_file import update
from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.upstream import Upstream
from tests.appregistry.upstream import running as app_registry
from tests.fakes.command import ROOT
from tests.fakes.content import digest, manifest
from tests.fakes.fixtures import other, registry
from tests.fakes.lies import Honest, honestly
from tests.fakes.lock import Password, basic
from tests.fakes.registry import Registry
from tests.fakes.tree import tree
from tests.shipping.command import checked
from tests.shipping.examples import EXAMPLES, Example, running

__all__ = ["other", "registry"]

AIR_GAPPED, CORPORATE, UNTRUSTED = "air-gapped-mirror.yaml", "corporate-cache.yaml", "untrusted-mirrors.yaml"
IMAGE = "prometheus/busybox"
NGINX = "/packages/alice/nginx/0.1.0/helm"
LAYERS = [b"one layer", b"another"]


@pytest.fixture
async def packages() -> AsyncIterator[Upstream]:
    async with app_registry() as upstream:
        upstream.registry.push("alice/nginx", "0.1.0", "helm", packed(chart("0.1.0")))
        yield upstream


@pytest.fixture
async def third() -> AsyncIterator[Registry]:
    async with Registry() as one:
        yield one


# --- all of them


def test_these_are_the_examples() -> None:
    assert [AIR_GAPPED, CORPORATE, UNTRUSTED] == sorted(path.name for path in EXAMPLES.iterdir())


@pytest.mark.parametrize("name", [AIR_GAPPED, CORPORATE, UNTRUSTED])
def test_it_passes_the_check_and_says_whom_it_is_for(name: str) -> None:
    ran = checked("--elsewhere", "--config", str(EXAMPLES / name))
    comments = [line for line in (EXAMPLES / name).read_text().splitlines() if line.startswith("#")]

    assert 0 == ran.exit_code, ran.output
    for word in ("# For: ", "hosts.toml", "docker", "registries.conf", "skopeo", "helm pull"):
        assert any(word in line for line in comments), word
    assert f"config/examples/{name}" in (ROOT / "README.md").read_text()


def push(registry: Registry, repository: str, tag: str, *layers: bytes) -> bytes:
    """With the configuration that the manifest names."""
    registry.add_blob(repository, b"{}")
    return registry.push(repository, tag, *layers)


# --- air-gapped

PINS = (f"quay.io/{IMAGE}:1.0", "docker.io/library/alpine:3", "old-quay/alice/nginx@0.1.0/helm")


async def test_an_air_gapped_site_has_what_was_pulled_and_pinned_and_asks_nobody(
    registry: Registry, other: Registry, packages: Upstream, tmp_path: Path
) -> None:
    urls = {"https://quay.io": registry.url, "https://registry-1.docker.io": other.url}
    urls["https://old-quay.example.com"] = packages.url
    push(registry, IMAGE, "1.0", *LAYERS)
    push(other, "library/alpine", "3", b"alpine")
    async with running(Example(AIR_GAPPED, tmp_path, urls, APPRPROXY_OFFLINE="false")) as filling:
        assert LAYERS == await filling.pull("", IMAGE, "1.0", ns="quay.io"), "as containerd asks"
        assert [b"alpine"] == await filling.pull("", "library/alpine", "3"), "as docker asks its registry mirror"
        package = await filling.get(f"/old-quay/cnr/api/v1{NGINX}/pull")
        filling.command("cache", "pin", *PINS)
        pins = [json.loads(line) for line in filling.command("cache", "pin", "--json").splitlines()]
        filling.command("cache", "verify")
    asked = registry.count(), other.count(), packages.count()
    async with running(Example(AIR_GAPPED, tmp_path, urls)) as site:
        assert LAYERS == await site.pull("", IMAGE, "1.0", ns="quay.io")
        assert LAYERS == await site.pull("quay.io/", IMAGE, "1.0"), "as podman and skopeo ask"
        assert [b"alpine"] == await site.pull("", "library/alpine", "3")
        again = await site.get(f"/old-quay/cnr/api/v1{NGINX}/pull")
        missing = await site.get(f"/v2/quay.io/{IMAGE}/manifests/2.0")

    assert [(name, {}) for name in sorted(PINS)] == sorted((one["name"], one["missing"]) for one in pins)
    assert (chart("0.1.0"), package.body) == (unpacked(package.body), again.body)
    assert 504 == missing.status
    assert asked == (registry.count(), other.count(), packages.count())


# --- a company's


async def test_a_companys_names_come_from_its_own_registry_and_from_nobody_else(
    registry: Registry, other: Registry, third: Registry, packages: Upstream, tmp_path: Path
) -> None:
    urls = {"https://harbor.corp.example": registry.url, "https://registry-1.docker.io": other.url}
    urls |= {"https://quay.io": third.url, "https://old-quay.corp.example": packages.url}
    registry.lock, other.lock = Password("robot", "harbor's"), Password("hub", "docker's")
    write(tmp_path / "run/secrets/harbor", "harbor's\n")
    account = {"auth": basic("hub", "docker's").removeprefix("Basic ")}
    write(tmp_path / "etc/apprproxy/docker/config.json", json.dumps({"auths": {host_of(other.url): account}}))
    push(registry, "corp/app", "1.0", b"ours")
    for stranger in (other, third):
        push(stranger, "corp/app", "1.0", b"a stranger's")
        push(stranger, "corp/app", "2.0", b"a stranger's")
    push(other, "library/alpine", "3", b"alpine")
    push(third, "library/alpine", "3", b"not Docker Hub's")
    push(third, IMAGE, "1.0", *LAYERS)
    ops = {"APPRPROXY_SERVER__OPS": "127.0.0.1:0"}
    async with running(Example(CORPORATE, tmp_path, urls, **ops)) as cache:
        assert [b"ours"] == await cache.pull("", "corp/app", "1.0", host="registry.corp")
        assert [b"alpine"] == await cache.pull("", "library/alpine", "3", ns="docker.io", host="registry.corp")
        assert [b"alpine"] == await cache.pull("", "library/alpine", "3", host="hub.registry.corp")
        assert [b"alpine"] == await cache.pull("docker.io/", "library/alpine", "3", host="registry.corp")
        package = await cache.get(f"/cnr/api/v1{NGINX}/pull", "registry.corp")
        unowned = await cache.get("/v2/corp/app/manifests/2.0", "registry.corp")
        at_hub = await cache.get("/v2/corp/app/manifests/1.0", "hub.registry.corp")
        await registry.stop()
        down = await cache.get("/v2/corp/app/manifests/3.0", "registry.corp")
        held = await cache.pull("", "corp/app", "1.0", host="registry.corp")
        assert LAYERS == await cache.pull("", IMAGE, "1.0", host="registry.corp"), "nobody waits for harbor in vain"

    assert chart("0.1.0") == unpacked(package.body)
    assert (404, 403, 502) == (unowned.status, at_hub.status, down.status)
    assert [b"ours"] == held
    assert not any("corp" in seen.target for seen in (*other.seen, *third.seen))
    assert not any("library" in seen.target or IMAGE in seen.target for seen in registry.seen)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def host_of(url: str) -> str:
    return url.removeprefix("http://")


# --- mirrors that nobody trusts


async def test_from_mirrors_that_lie_comes_what_the_lock_says_or_nothing(
    registry: Registry, other: Registry, tmp_path: Path
) -> None:
    for source in (registry, other):
        push(source, IMAGE, "1.0", b"forged")
        for layer in LAYERS:
            source.add_blob(IMAGE, layer)
        source.add_manifest(IMAGE, manifest(*LAYERS))
    other.on["blob"] = other.on["manifest"] = lying
    update(lock_of(tmp_path), {f"{IMAGE}:1.0": Digest.of(manifest(*LAYERS))})
    layout = tmp_path / "neighbour"
    for content in (manifest(*LAYERS), b"{}", LAYERS[0]):
        write(layout / "apprproxy/blobs" / digest(content).replace(":", "/"), content.decode())
    asked: list[str] = []
    async with tree(layout, asked) as files:
        urls = {"https://quay.io": registry.url, "http://mirror.university.example:5000": other.url}
        urls["http://files.neighbour.example/apprproxy"] = f"{files}/apprproxy"
        async with running(Example(UNTRUSTED, tmp_path, urls)) as gateway:
            first = await gateway.pull("", IMAGE, "1.0", ns="quay.io")
            unlocked = await gateway.get(f"/v2/quay.io/{IMAGE}/manifests/latest")
            mismatches = (await gateway.get("/metrics")).body
            await registry.stop()
            await other.stop()
            again = await gateway.pull("quay.io/", IMAGE, "1.0")

    assert LAYERS == first == again
    assert (403, "names") == (unlocked.status, "names" if b"names lock" in unlocked.body else "")
    assert b'apprproxy_digest_mismatches_total{source="mirror-1",upstream="quay.io"} 1.0' in mismatches
    assert {"manifest", "blob"} >= {seen.kind for seen in (*registry.seen, *other.seen)}, "nobody was asked for a name"
    assert 1 == other.count(), "whoever lied is not asked again"
    assert [digest(LAYERS[1])] == [seen.target.rpartition("/")[2] for seen in registry.seen]
    assert len(asked) >= 2


async def lying(request: web.BaseRequest, answer: Honest) -> web.StreamResponse:
    return await honestly(request, Honest(200, bytes(byte ^ 1 for byte in answer.body), answer.headers))


def lock_of(folder: Path) -> Path:
    path = folder / "etc/apprproxy/names.lock.json"
    path.parent.mkdir(parents=True)
    return path
