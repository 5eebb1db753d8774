"""An image, a chart and a package pulled by lock file from upstreams that lie about every name and every tenth blob."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.lock import Lock
from apprproxy.locking import resolve
from apprproxy.settings import Settings
from apprproxy.store.names.lock_file import read, update
from tests.appregistry import registry as packages
from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.upstream import Upstream, running
from tests.fakes.clock import Clock
from tests.fakes.content import IMAGE, INDEX, digest, some_bytes
from tests.fakes.fixtures import clock, gateways, other, registry
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Behaviour, Honest, honestly
from tests.fakes.registry import Registry, descriptor

__all__ = ["clock", "gateways", "other", "registry"]

APP, CHART, NGINX = "library/app", "charts/nginx", "alice/nginx"
PLATFORMS = {name: [some_bytes(3000 + at, f"{name}{at}") for at in range(12)] for name in ("amd64", "arm64")}
CONFIG = {name: json.dumps({"architecture": name}).encode() for name in PLATFORMS}
HELM = "application/vnd.cncf.helm.config.v1+json"
TAR = chart("0.1.0")


def manifest_of(config: bytes, kind: str, layers: list[bytes]) -> bytes:
    described = [{"mediaType": "application/x.layer", "digest": digest(one), "size": len(one)} for one in layers]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {"mediaType": kind, "digest": digest(config), "size": len(config)},
            "layers": described,
        }
    ).encode()


def push(registry: Registry, *, forged: bool) -> None:
    """All that is right, by digest; and the tags that name it, or something else."""
    children = []
    for name, layers in PLATFORMS.items():
        for content in (CONFIG[name], *layers):
            registry.add_blob(APP, content)
        children.append(manifest_of(CONFIG[name], "application/vnd.oci.image.config.v1+json", layers))
        registry.add_manifest(APP, children[-1])
    manifests = [descriptor(child, digest(child)) for child in children]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    registry.add_manifest(APP, index, tag="" if forged else "1.0")
    for content in (b"{}", packed(TAR)):
        registry.add_blob(CHART, content)
    registry.add_manifest(CHART, manifest_of(b"{}", HELM, [packed(TAR)]), tag="" if forged else "0.1.0")
    if forged:
        registry.push(APP, "1.0", b"evil")
        registry.push(APP, "666", b"evil")
        registry.push(CHART, "0.1.0", b"evil")
        registry.push("evil/app", "1.0", b"evil")


@dataclass(slots=True)
class EveryTenth:
    """Whose answer is due to be wrong: of the right length, and not of the right bytes."""

    requests: Iterator[int] = field(default_factory=lambda: count(1))
    lies: int = 0

    def spoil(self, body: bytes) -> bytes:
        if next(self.requests) % 10:
            return body
        self.lies += 1
        return bytes(byte ^ 1 for byte in body)

    def behaviour(self) -> Behaviour:
        async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
            if request.method == "GET":
                honest = Honest(honest.status, self.spoil(honest.body), honest.headers)
            return await honestly(request, honest)

        return answer


class Client:
    """Asks again a few times, as clients do; whatever is completed with 200 must be right."""

    def __init__(self, gateway: Running, clock: Clock, url: str) -> None:
        self._gateway = gateway
        self._clock = clock
        self._url = url
        self.failed = 0

    async def get(self, path: str) -> Got:
        for _ in range(4):
            got = await self._gateway.get(f"{self._url}{path}")
            if got.status == 200:
                return got
            self.failed += 1
            self._clock.advance(11)
        raise AssertionError(f"{path}: {got.status} {got.body[:300]!r}")

    async def by_digest(self, repository: str, kind: str, wanted: str) -> bytes:
        body = (await self.get(f"/{repository}/{kind}/{wanted}")).body
        assert wanted == digest(body)
        return body

    async def pull(self, repository: str, tag: str, locked: Digest) -> dict[str, bytes]:
        """Everything below the tag, by digest."""
        root = (await self.get(f"/{repository}/manifests/{tag}")).body
        assert str(locked) == digest(root)
        pulled = {digest(root): root}
        await self._below(repository, json.loads(root), pulled)
        return pulled

    async def _below(self, repository: str, document: dict[str, Any], pulled: dict[str, bytes]) -> None:
        for child in document.get("manifests", []):
            body = pulled[child["digest"]] = await self.by_digest(repository, "manifests", child["digest"])
            await self._below(repository, json.loads(body), pulled)
        for blob in [document[key] for key in ("config",) if key in document] + document.get("layers", []):
            pulled[blob["digest"]] = await self.by_digest(repository, "blobs", blob["digest"])


@pytest.fixture
async def trusted() -> AsyncIterator[Registry]:
    async with Registry() as registry:
        push(registry, forged=False)
        yield registry


@pytest.fixture
async def liar(registry: Registry) -> tuple[Registry, EveryTenth]:
    push(registry, forged=True)
    tenth = EveryTenth()
    registry.on["blob"] = registry.on["manifest"] = tenth.behaviour()
    return registry, tenth


async def lock(folder: Path, upstreams: dict[str, Any], *names: str) -> tuple[Path, Lock]:
    """Written as ``apprproxy names lock`` writes it."""
    path = folder / "names.lock.json"
    settings = Settings.model_validate({"cache": {"directory": folder / "locking"}, "upstreams": upstreams})
    for resolved in await resolve(settings, names):
        assert "" == resolved.failure
        update(path, resolved.digests)
    return path, read(path)


async def test_an_image_and_a_chart_come_whole_and_right_from_a_liar(
    liar: tuple[Registry, EveryTenth], trusted: Registry, gateways: Gateways, clock: Clock, tmp_path: Path
) -> None:
    path, locked = await lock(tmp_path, {"good": oci(trusted)}, f"good/{APP}:1.0", f"good/{CHART}:0.1.0")
    registry, tenth = liar
    gateway = await gateways.start({"hub": oci(registry, names="locked", lock_file=str(path))})
    client = Client(gateway, clock, "/v2/hub")
    image = await client.pull(APP, "1.0", locked.names[f"{APP}:1.0"])
    helm = await client.pull(CHART, "0.1.0", locked.names[f"{CHART}:0.1.0"])
    tags = (await client.get(f"/{APP}/tags/list")).body
    catalog = (await client.get("/_catalog")).body
    await gateway.at_rest()

    assert 3 + 2 * 13 == len(image)
    assert {CONFIG["amd64"], CONFIG["arm64"], *PLATFORMS["amd64"], *PLATFORMS["arm64"]} <= set(image.values())
    assert TAR in [unpacked(one) for one in helm.values() if one[:2] == b"\x1f\x8b"]
    assert (["1.0"], [CHART, APP]) == (json.loads(tags)["tags"], json.loads(catalog)["repositories"])
    assert tenth.lies == client.failed > 2
    assert tenth.lies == gateway.metric("apprproxy_digest_mismatches_total")
    assert {"blob", "manifest"} == {one.kind for one in registry.seen}, "no name was asked for"
    for held in gateway.blobs:
        algorithm, _, name = held.partition(":")
        assert held == digest((gateway.cache / "blobs" / algorithm / name).read_bytes(), algorithm)


async def test_with_a_second_source_the_client_never_sees_a_failure(
    liar: tuple[Registry, EveryTenth],
    other: Registry,
    trusted: Registry,
    gateways: Gateways,
    clock: Clock,
    tmp_path: Path,
) -> None:
    path, locked = await lock(tmp_path, {"good": oci(trusted)}, f"good/{APP}:1.0")
    registry, tenth = liar
    push(other, forged=True)
    gateway = await gateways.start(
        {"hub": oci(registry, names="locked", lock_file=str(path)), "bytes": oci(other, names="refuse")},
        views={"both": ["hub", "bytes"]},
    )
    client = Client(gateway, clock, "/v2/both")
    image = await client.pull(APP, "1.0", locked.names[f"{APP}:1.0"])

    assert 3 + 2 * 13 == len(image)
    assert (0, True) == (client.failed, tenth.lies > 1)
    assert {"blob", "manifest"} >= {one.kind for one in other.seen}


async def test_a_package_comes_right_from_a_server_that_forges_every_document(
    gateways: Gateways, clock: Clock, tmp_path: Path
) -> None:
    tars = {f"0.{minor}.0": chart(f"0.{minor}.0", "right" * minor) for minor in range(1, 13)}
    async with running() as good, running() as server:
        for version, tar in tars.items():
            good.registry.push(NGINX, version, "helm", packed(tar))
        names = [f"good/{NGINX}@{version}/helm" for version in tars]
        path, _ = await lock(tmp_path, {"good": {"kind": "appr", "url": good.url}}, *names)
        tenth = forge(server, list(tars.values()))
        keys = {"kind": "appr", "url": server.url, "names": "locked", "lock_file": str(path)}
        gateway = await gateways.start({"quay": keys})
        client = Client(gateway, clock, "/quay/cnr/api/v1/packages")
        pulled = {version: unpacked((await client.get(f"/{NGINX}/{version}/helm/pull")).body) for version in tars}
        newest = unpacked((await client.get(f"/{NGINX}/default/-/pull")).body)
        listed = json.loads((await client.get("")).body)

        assert tars == pulled
        assert tars["0.12.0"] == newest
        assert [(NGINX, "0.12.0")] == [(one["name"], one["default"]) for one in listed]
        assert 1 == tenth.lies == client.failed
        assert len(server.asked) == server.count("/blobs/"), "no name was asked for"


def forge(server: Upstream, tars: list[bytes]) -> EveryTenth:
    """The right bytes by digest, but for every tenth answer; evil wherever a name is asked for."""
    tenth = EveryTenth()
    for tar in tars:
        server.registry.push(NGINX, "0.1.0", "helm", packed(tar))
    server.registry.push(NGINX, "0.1.0", "helm", packed(chart("6.6.6", "evil")))
    server.registry.push("evil/app", "1.0.0", "helm", packed(chart("6.6.6", "evil")))

    def twist(target: str) -> packages.Answer | None:
        if "/blobs/" not in target:
            return None
        honest = server.registry.answer("GET", target)
        return packages.Answer(honest.status, packed(tenth.spoil(unpacked(honest.body))), honest.content_type)

    server.twist = twist
    return tenth
