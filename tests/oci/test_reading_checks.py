"""The reading side of the specification's conformance suite, as contract tests: cold and warm, by sha256 and sha512.

Cold is the first request after the start; warm is the same request again, which costs the upstream nothing.
"""

import json

import pytest

from tests.fakes import lies
from tests.fakes.content import INDEX, digest, manifest, oci_error, some_bytes
from tests.fakes.gateway import Gateways, Got, Running
from tests.fakes.raw import wire
from tests.fakes.registry import Registry
from tests.oci.shapes import Shape, shapes

NAME = "conformance/testrepo"
HERE = f"/v2/{NAME}"
BLOB = some_bytes(2048)
JSON = "application/json"

by_either = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
by_get_or_head = pytest.mark.parametrize("method", ["GET", "HEAD"])


async def twice(registry: Registry, gateway: Running, method: str, path: str, **headers: str) -> tuple[Got, Got]:
    """The answer cold, and warm: the second costs the upstream nothing."""
    cold = await gateway.ask(method, path, **headers)
    await gateway.at_rest()
    asked = registry.count()
    warm = await gateway.ask(method, path, **headers)

    assert 0 < asked == registry.count()
    return cold, warm


# --- the registry


@by_get_or_head
async def test_ping(registry: Registry, gateways: Gateways, method: str) -> None:
    gateway = await gateways.start({"hub": registry})
    for path in ("/v2/", "/v2"):
        got = await gateway.ask(method, path)

        assert 200 == got.status
        assert "registry/2.0" == got.headers["Docker-Distribution-Api-Version"]


# --- tags


@by_either
async def test_the_tags_of_a_repository_without_tags(registry: Registry, gateways: Gateways, algorithm: str) -> None:
    registry.add_manifest(NAME, manifest(), algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/tags/list"):
        assert (200, JSON) == (got.status, got.headers["Content-Type"])
        assert {"name": NAME, "tags": []} == json.loads(got.body)


@by_either
async def test_the_tags_of_a_repository_with_tags(registry: Registry, gateways: Gateways, algorithm: str) -> None:
    tags = ["1.0", "1.1", "A", "b", "latest"]
    for tag in reversed(tags):
        registry.add_manifest(NAME, manifest(note=tag), algorithm, tag)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/tags/list"):
        assert (200, JSON, str(len(got.body))) == (
            got.status,
            got.headers["Content-Type"],
            got.headers["Content-Length"],
        )
        assert {"name": NAME, "tags": tags} == json.loads(got.body)
        assert "Link" not in got.headers
    head = await gateway.head(f"{HERE}/tags/list")

    assert (200, b"", got.headers["Content-Length"]) == (head.status, head.body, head.headers["Content-Length"])


@pytest.mark.parametrize(
    ("query", "tags", "more"),
    [
        ("n=3", ["1.0", "1.1", "A"], True),
        ("n=3&last=A", ["b", "latest"], False),
        ("n=5", ["1.0", "1.1", "A", "b", "latest"], False),
        ("n=100", ["1.0", "1.1", "A", "b", "latest"], False),
        ("n=0", [], False),
        ("last=1.1", ["A", "b", "latest"], False),
        ("n=2&last=1.05", ["1.1", "A"], True),
        ("n=2&last=latest", [], False),
    ],
)
async def test_tags_in_pages(registry: Registry, gateways: Gateways, query: str, tags: list[str], more: bool) -> None:
    for tag in ("1.0", "1.1", "A", "b", "latest"):
        registry.push(NAME, tag)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/tags/list?{query}"):
        assert {"name": NAME, "tags": tags} == json.loads(got.body)
        assert more == ("Link" in got.headers)


async def test_the_tags_of_an_unknown_repository(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/tags/list"):
        assert (404, "NAME_UNKNOWN") == (got.status, got.code)


# --- referrers


@by_either
@pytest.mark.parametrize("offered", [True, False], ids=["end point", "fallback tag"])
async def test_the_referrers_of_an_unknown_subject(
    registry: Registry, gateways: Gateways, algorithm: str, offered: bool
) -> None:
    registry.offers = {"referrers"} if offered else set()
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/referrers/{digest(b'missing', algorithm)}"):
        assert (200, INDEX) == (got.status, got.headers["Content-Type"])
        assert {"schemaVersion": 2, "mediaType": INDEX, "manifests": []} == json.loads(got.body)


@by_either
async def test_the_referrers_of_a_subject(registry: Registry, gateways: Gateways, algorithm: str) -> None:
    subject = manifest(note="subject")
    described = {"mediaType": INDEX, "digest": digest(subject, algorithm), "size": len(subject)}
    referrers = {
        kind: json.dumps({**json.loads(manifest()), "artifactType": kind, "subject": described}).encode()
        for kind in ("application/x.a", "application/x.b")
    }
    registry.add_manifest(NAME, subject, algorithm)
    for one in referrers.values():
        registry.add_manifest(NAME, one, algorithm)
    gateway = await gateways.start({"hub": registry})
    path = f"{HERE}/referrers/{digest(subject, algorithm)}"
    for got in await twice(registry, gateway, "GET", path):
        listed = {one["artifactType"]: one["digest"] for one in json.loads(got.body)["manifests"]}

        assert (200, INDEX) == (got.status, got.headers["Content-Type"])
        assert {kind: digest(one, algorithm) for kind, one in referrers.items()} == listed
        assert "OCI-Filters-Applied" not in got.headers
    for kind, one in referrers.items():
        chosen = await gateway.get(f"{path}?artifactType={kind}")

        assert [digest(one, algorithm)] == [each["digest"] for each in json.loads(chosen.body)["manifests"]]
        assert "artifactType" == chosen.headers["OCI-Filters-Applied"]


# --- blobs


@by_either
@by_get_or_head
@pytest.mark.parametrize("content", [BLOB, b"{}", b""], ids=["2,048 bytes", "{}", "empty"])
async def test_a_blob(registry: Registry, gateways: Gateways, algorithm: str, method: str, content: bytes) -> None:
    wanted = registry.add_blob(NAME, content, algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, method, f"{HERE}/blobs/{wanted}"):
        assert (200, content if method == "GET" else b"") == (got.status, got.body)
        assert str(len(content)) == got.headers["Content-Length"]
        assert "application/octet-stream" == got.headers["Content-Type"]
        assert (wanted, f'"{wanted}"') == (got.headers["Docker-Content-Digest"], got.headers["ETag"])
        assert "bytes" == got.headers["Accept-Ranges"]
        assert "Content-Encoding" not in got.headers


@by_either
@by_get_or_head
async def test_a_missing_blob(registry: Registry, gateways: Gateways, algorithm: str, method: str) -> None:
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, method, f"{HERE}/blobs/{digest(b'missing', algorithm)}"):
        assert 404 == got.status
        if method == "GET":
            assert "BLOB_UNKNOWN" == got.code


@by_either
@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=500-1499", slice(500, 1500)),
        ("bytes=500-", slice(500, 2048)),
        ("bytes=-500", slice(1548, 2048)),
        ("bytes=2000-5000", slice(2000, 2048)),
        ("bytes=0-", slice(0, 2048)),
        ("bytes=0-0", slice(0, 1)),
    ],
)
async def test_a_range_of_a_blob(
    registry: Registry, gateways: Gateways, algorithm: str, asked: str, part: slice
) -> None:
    wanted = registry.add_blob(NAME, BLOB, algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/blobs/{wanted}", Range=asked):
        assert (206, BLOB[part]) == (got.status, got.body)
        assert f"bytes {part.start}-{part.stop - 1}/2048" == got.headers["Content-Range"]
        assert str(part.stop - part.start) == got.headers["Content-Length"]
        assert wanted == got.headers["Docker-Content-Digest"]


@by_either
async def test_a_malformed_range_is_no_range(registry: Registry, gateways: Gateways, algorithm: str) -> None:
    wanted = registry.add_blob(NAME, BLOB, algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/blobs/{wanted}", Range="bytes=500-0"):
        assert (200, BLOB) == (got.status, got.body)


@by_either
async def test_a_range_beyond_the_end(registry: Registry, gateways: Gateways, algorithm: str) -> None:
    wanted = registry.add_blob(NAME, BLOB, algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, "GET", f"{HERE}/blobs/{wanted}", Range="bytes=5000-10000"):
        assert (416, "bytes */2048", b"") == (got.status, got.headers["Content-Range"], got.body)


# --- manifests


def is_right(got: Got, method: str, shape: Shape, wanted: str) -> None:
    assert (200, shape.content if method == "GET" else b"") == (got.status, got.body)
    assert str(len(shape.content)) == got.headers["Content-Length"]
    assert shape.kind == got.headers["Content-Type"]
    assert (wanted, f'"{wanted}"') == (got.headers["Docker-Content-Digest"], got.headers["ETag"])
    assert "Content-Encoding" not in got.headers


@by_either
@by_get_or_head
@pytest.mark.parametrize("what", list(shapes("sha256")))
async def test_a_manifest(registry: Registry, gateways: Gateways, algorithm: str, method: str, what: str) -> None:
    shape = shapes(algorithm)[what]
    for child in shape.children:
        registry.add_manifest(NAME, child, algorithm)
    wanted = registry.add_manifest(NAME, shape.content, algorithm, "tag")
    for number, reference in enumerate(("tag", wanted)):
        gateway = await gateways.start({"hub": registry}, cache=f"cache-{number}")
        for got in await twice(registry, gateway, method, f"{HERE}/manifests/{reference}"):
            is_right(got, method, shape, wanted)
        for child in shape.children:
            assert child == (await gateway.get(f"{HERE}/manifests/{digest(child, algorithm)}")).body


async def test_one_manifest_by_both_algorithms(registry: Registry, gateways: Gateways) -> None:
    shape = shapes("sha256")["an image"]
    gateway = await gateways.start({"hub": registry})
    for algorithm in ("sha256", "sha512"):
        wanted = registry.add_manifest(NAME, shape.content, algorithm, algorithm)
        for reference in (algorithm, wanted):
            is_right(await gateway.get(f"{HERE}/manifests/{reference}"), "GET", shape, wanted)


@by_either
async def test_what_a_sparse_index_leaves_out_is_missing(
    registry: Registry, gateways: Gateways, algorithm: str
) -> None:
    shape = shapes(algorithm)["a sparse index"]
    registry.add_manifest(NAME, shape.content, algorithm, "tag")
    gateway = await gateways.start({"hub": registry})
    absent = json.loads(shape.content)["manifests"][0]["digest"]
    for got in await twice(registry, gateway, "GET", f"{HERE}/manifests/{absent}"):
        assert (404, "MANIFEST_UNKNOWN") == (got.status, got.code)


@by_either
@by_get_or_head
@pytest.mark.parametrize("missing", ["tag", "digest"])
async def test_a_missing_manifest(
    registry: Registry, gateways: Gateways, algorithm: str, method: str, missing: str
) -> None:
    reference = "missing" if missing == "tag" else digest(b"missing", algorithm)
    gateway = await gateways.start({"hub": registry})
    for got in await twice(registry, gateway, method, f"{HERE}/manifests/{reference}"):
        assert 404 == got.status
        if method == "GET":
            assert "MANIFEST_UNKNOWN" == got.code


@by_either
@by_get_or_head
async def test_a_manifest_by_a_digest_that_it_does_not_have_is_never_served(
    registry: Registry, gateways: Gateways, algorithm: str, method: str
) -> None:
    wanted, other = digest(b"something else", algorithm), manifest(note="other")
    registry.on["manifest"] = lies.says(200, other, Docker_Content_Digest=wanted)
    registry.on["HEAD tag"] = lies.says(200, Docker_Content_Digest=wanted)
    gateway = await gateways.start({"hub": registry})
    for reference in (wanted, "tag"):
        for got in [await gateway.ask(method, f"{HERE}/manifests/{reference}") for _ in range(2)]:
            assert 502 == got.status
            assert other not in got.body
    assert [] == gateway.blobs


@by_either
async def test_a_manifest_that_the_client_has_is_not_sent(
    registry: Registry, gateways: Gateways, algorithm: str
) -> None:
    wanted = registry.add_manifest(NAME, manifest(), algorithm, "tag")
    gateway = await gateways.start({"hub": registry})
    for reference in ("tag", wanted):
        got = await gateway.get(f"{HERE}/manifests/{reference}", If_None_Match=f'"{wanted}"')

        assert (304, b"") == (got.status, got.body)
        assert (wanted, f'"{wanted}"') == (got.headers["Docker-Content-Digest"], got.headers["ETag"])


async def test_fields_of_one_name_are_one_list(registry: Registry, gateways: Gateways) -> None:
    """RFC 9110, section 5.3: what a proxy may have taken apart."""
    wanted = registry.add_manifest(NAME, manifest(), "sha256", "tag")
    gateway = await gateways.start({"hub": registry})
    fields = f'If-None-Match: "other"\r\nIf-None-Match: "{wanted}"\r\nConnection: close'
    async with wire(gateway.url) as client:
        await client.send(f"GET {HERE}/manifests/tag HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n")
        answer = await client.rest()

    assert answer.startswith(b"HTTP/1.1 304 ")


async def test_a_refusal_is_told_in_the_specifications_words(registry: Registry, gateways: Gateways) -> None:
    registry.on["tag"] = lies.says(404, oci_error("MANIFEST_UNKNOWN", "no such thing"))
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(f"{HERE}/manifests/missing")
    (error,) = json.loads(got.body)["errors"]

    assert (404, JSON) == (got.status, got.headers["Content-Type"])
    assert {"code", "message", "detail"} == set(error)
