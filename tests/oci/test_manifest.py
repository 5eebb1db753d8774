"""A manifest is hashed and compared before a byte of it is served, bounded, and passed on byte for byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.oci.manifest import DOCKER_LIST, IMAGE, INDEX, children, is_manifest, media_type
from tests.fakes import lies
from tests.fakes.content import digest, manifest, some_bytes
from tests.fakes.gateway import Gateways, Running
from tests.fakes.lies import Behaviour
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
LARGE = manifest(note="x" * 9 * 1024 * 1024)


def by_digest(content: bytes) -> str:
    return f"/v2/hub/library/app/manifests/{digest(content)}"


def mismatches(gateway: Running) -> float:
    return gateway.metric("apprproxy_digest_mismatches_total", upstream="hub", source="owner")


async def test_a_manifest_is_passed_on_byte_for_byte(registry: Registry, gateways: Gateways) -> None:
    content = b' {"schemaVersion" : 2,\n"mediaType": "application/vnd.oci.image.index.v1+json", "manifests":[] }\n'
    registry.add_manifest("library/app", content)
    gateway = await gateways.start({"hub": registry})
    answer = await gateway.get(by_digest(content))

    assert content == answer.body
    assert INDEX == answer.headers["Content-Type"]
    assert digest(content) == answer.headers["Docker-Content-Digest"]
    assert f'"{digest(content)}"' == answer.headers["ETag"]


async def test_the_upstream_is_always_asked_for_all_manifest_types(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(TAG, Accept="application/json", Authorization="Bearer clients-own", Cookie="a=b")

    assert 2 == len(registry.seen)
    for seen in registry.seen:
        assert all(kind in seen.headers["accept"] for kind in (INDEX, IMAGE, DOCKER_LIST))
        assert not {"authorization", "cookie"} & set(seen.headers)
        assert "identity" == seen.headers["accept-encoding"]


@pytest.mark.parametrize(
    "lie", [lies.says(200, manifest(note="another")), lies.page(200), lies.says(200)], ids=["another", "HTML", "empty"]
)
async def test_a_manifest_of_another_digest_is_refused(registry: Registry, gateways: Gateways, lie: Behaviour) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["manifest"] = lie
    gateway = await gateways.start({"hub": registry})
    named = await gateway.get(TAG)
    direct = await gateway.get(by_digest(content))
    caught = mismatches(gateway)
    registry.on.clear()
    gateways.clock.advance(10.0)

    assert (502, "UNAVAILABLE") == (named.status, named.code)
    assert (502, "UNAVAILABLE") == (direct.status, direct.code)
    assert 1 == caught, "the second time the lie was remembered"
    assert content == (await gateway.get(TAG)).body


@pytest.mark.parametrize("answer", [lies.honestly, lies.chunked(LARGE)], ids=["announced", "unannounced"])
async def test_a_manifest_of_nine_mebibytes_is_refused(
    registry: Registry, gateways: Gateways, answer: Behaviour
) -> None:
    registry.add_manifest("library/app", LARGE)
    registry.on["manifest"] = answer
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(by_digest(LARGE))

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert [] == gateway.blobs


async def test_a_tag_of_nine_mebibytes_is_refused(registry: Registry, gateways: Gateways) -> None:
    registry.on["HEAD tag"] = lies.says(405)
    registry.on["GET tag"] = lies.chunked(LARGE)
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert [] == gateway.blobs


async def test_a_large_blob_is_not_served_as_a_manifest(registry: Registry, gateways: Gateways) -> None:
    blob = some_bytes(9 * 1024 * 1024)
    registry.add_blob("library/app", blob)
    gateway = await gateways.start({"hub": registry})
    held = await gateway.get(f"/v2/hub/library/app/blobs/{digest(blob)}")
    failed = await gateway.get(by_digest(blob))

    assert 200 == held.status
    assert (404, "MANIFEST_UNKNOWN") == (failed.status, failed.code), "whoever asks for it is no fault of its owner"


async def test_a_tag_whose_get_does_not_match_its_own_digest_is_refused(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(405)
    registry.on["GET tag"] = lies.says(200, manifest(note="another"), Docker_Content_Digest=digest(content))
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 1 == mismatches(gateway)


async def test_a_tag_whose_head_names_a_digest_that_is_not_there_is_an_outage(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(200, Docker_Content_Digest=digest(b"nowhere"))
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)


@pytest.mark.parametrize("claim", ["sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "../../etc/passwd"])
async def test_a_digest_that_is_none_is_refused(registry: Registry, gateways: Gateways, claim: str) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(200, Docker_Content_Digest=claim)
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(TAG)).status


async def test_head_of_a_manifest_says_what_get_would(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    for path in (TAG, by_digest(content)):
        head, got = await gateway.head(path), await gateway.get(path)

        assert (200, b"") == (head.status, head.body)
        for name in ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag"):
            assert got.headers[name] == head.headers[name]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"mediaType": DOCKER_LIST, "manifests": []}, DOCKER_LIST),
        ({"schemaVersion": 2, "manifests": []}, INDEX),
        ({"schemaVersion": 2, "layers": []}, IMAGE),
        ({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"mediaType": "a/b\r\nX-Evil: 1", "layers": []}, IMAGE),
        ({"mediaType": 7}, IMAGE),
    ],
)
def test_the_media_type_comes_from_the_verified_bytes(fields: dict[str, object], kind: str) -> None:
    assert kind == media_type(json.dumps(fields).encode())


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_have_a_media_type(content: bytes) -> None:
    assert 1 == media_type(content).count("/")
    assert not is_manifest(content)


@pytest.mark.parametrize("content", [b"{}", b'{"message": "log in"}', b'{"errors": [{"code": "UNAUTHORIZED"}]}'])
def test_a_document_of_another_kind_is_no_manifest(content: bytes) -> None:
    assert not is_manifest(content)


def test_a_digest_that_is_a_thousand_lists_deep_is_none() -> None:
    nested = b"[" * 1010 + b"]" * 1010

    assert () == children(b'{"layers": [{"digest": ' + nested + b"}]}")
