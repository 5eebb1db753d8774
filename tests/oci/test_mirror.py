"""What is asked of a mirror: another registry, another apprproxy, or files behind a web server."""

import gzip
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import NotThere, Outage, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.core.ports.upstream import Reply
from apprproxy.oci.mirror import OciMirror
from apprproxy.oci.static import StaticTree
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.directory.place import prepare
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry
from tests.fakes.sources import blob_want, read, recorder
from tests.fakes.tree import tree
from tests.store.cap import Boundless

PLACE = Place("hub", ("hub",))
CONTENT = some_bytes(10_000)
DIGEST = Digest.of(CONTENT)


def want(expected: Expected, kind: Kind = Kind.BLOB) -> BlobWant:
    return BlobWant(PLACE, "library/app", expected, kind)


# --- registries


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("", "/v2/library/app"), ("quay.io", "/v2/quay.io/library/app"), ("a/b", "/v2/a/b/library/app")],
)
def test_a_path_stands_before_the_repository_and_in_the_tokens_scope(prefix: str, path: str) -> None:
    mirror = OciMirror("hub mirror-1", prefix)
    blob, manifest = (mirror.blob_request(want(Expected(DIGEST), kind)) for kind in (Kind.BLOB, Kind.MANIFEST))

    assert f"{path}/blobs/{DIGEST}" == blob.path
    assert f"{path}/manifests/{DIGEST}" == manifest.path
    assert f"repository:{path.removeprefix('/v2/')}:pull" == blob.scope


async def test_another_apprproxy_is_a_mirror(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", CONTENT)
    far = await gateways.start({"quay.io": registry}, cache="far")
    near = await gateways.start({"hub": oci(other, mirrors=[{"url": f"{far.url}/quay.io"}])}, cache="near")
    [mirror, _] = near.app.members["hub"].sources

    assert (200, CONTENT) == await read(mirror, blob_want(CONTENT))
    assert 0 == other.count()


def test_a_no_names_the_mirror() -> None:
    fault = OciMirror("hub mirror-1").judge(Reply(404, {}, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}'))

    assert isinstance(fault, NotThere)
    assert "hub mirror-1" == fault.source


# --- static trees


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        (Expected(DIGEST), f"/blobs/sha256/{DIGEST.hex}"),
        (Expected(Digest.of(CONTENT, "sha512")), f"/blobs/sha512/{Digest.of(CONTENT, 'sha512').hex}"),
        (Expected(unpacked=DIGEST), f"/unpacked/sha256/{DIGEST.hex}"),
    ],
)
def test_a_static_tree_is_asked_by_digest_alone(expected: Expected, path: str) -> None:
    request = StaticTree("hub mirror-1").blob_request(want(expected))

    assert ("GET", path, "", "") == (request.method, request.path, request.query, request.scope)


@pytest.mark.parametrize("status", [200, 206])
def test_what_a_static_tree_has_it_gives(status: int) -> None:
    assert StaticTree("hub mirror-1").judge(Reply(status, {})) is None


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 410, 416, 429, 500, 502, 503])
def test_anything_else_is_that_mirrors_failure(status: int) -> None:
    fault = StaticTree("hub mirror-1").judge(Reply(status, {}, b"<html>"))

    assert isinstance(fault, UpstreamFault)
    assert ("hub mirror-1", status) == (fault.source, fault.status)
    assert isinstance(fault, NotThere if status in (404, 410) else Outage)


async def test_the_cache_directory_of_a_gateway_is_a_static_mirror(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", CONTENT)
    first = await gateways.start({"hub": registry}, cache="first")
    await first.get(f"/v2/hub/library/app/blobs/{DIGEST}")
    await first.at_rest()
    asked: list[str] = []
    async with tree(first.cache.parent, asked) as url:
        mirrors = [{"url": f"{url}/first/", "kind": "static"}]
        second = await gateways.start(
            {"hub": oci(other, mirrors=mirrors, auth={"username": "b", "password": "s3cret"})}, cache="second"
        )
        [mirror, _] = second.app.members["hub"].sources
        held, missing = await read(mirror, blob_want(CONTENT)), await read(mirror, blob_want(b"another"))

    assert (200, CONTENT) == held
    assert 404 == missing[0]
    assert asked[0].startswith(f"GET /first/blobs/sha256/{DIGEST.hex} ")
    assert not any("authorization" in one for one in asked)


async def test_a_package_is_found_by_the_digest_of_its_tar(gateways: Gateways, tmp_path: Path) -> None:
    package, unpacked = gzip.compress(CONTENT, mtime=0), Expected(unpacked=DIGEST)
    prepare(tmp_path / "layout")
    store = DiskStore(tmp_path / "layout", recorder([]), Boundless(), 1 << 30)
    async with store.ingest(unpacked, "test") as ingest:
        await ingest.write(package)
        await ingest.commit()
    store.close()
    async with tree(tmp_path / "layout", []) as url:
        section = {"kind": "appr", "url": "http://registry.invalid", "mirrors": [{"url": url, "kind": "static"}]}
        gateway = await gateways.start({"old": section})
        [mirror, _] = gateway.app.members["old"].sources

        assert (200, package) == await read(mirror, want(unpacked))


async def test_an_app_registry_mirror_has_a_prefix_of_its_own(gateways: Gateways) -> None:
    mirrors = [{"url": "http://a.invalid"}, {"url": "http://b.invalid", "prefix": ""}]
    section = {"kind": "appr", "url": "http://registry.invalid", "prefix": "/x", "mirrors": mirrors}
    gateway = await gateways.start({"old": section})
    wanted = BlobWant(PLACE, "alice/nginx", Expected(unpacked=DIGEST))
    paths = [source.speaks.blob_request(wanted).path for source in gateway.app.members["old"].sources]

    assert ["/cnr/api", "/api", "/x/api"] == [path.partition("/v1")[0] for path in paths]
