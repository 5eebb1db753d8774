"""The OCI face: what it answers, and how it refuses bad input: in the protocol's words, and never with a crash."""

import pytest

from tests.fakes import lies
from tests.fakes.content import digest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

ZERO = "sha256:" + "0" * 64
UNAVAILABLE = "UNAVAILABLE"


async def alone(gateways: Gateways, registry: Registry) -> Running:
    """Two upstreams and no view ``default``."""
    return await gateways.start({"hub": registry, "far": registry})


async def test_ping_answers_without_an_upstream(gateways: Gateways) -> None:
    gateway = await gateways.start({})
    for path in ("/v2/", "/v2"):
        answer = await gateway.get(path)

        assert (200, "registry/2.0") == (answer.status, answer.headers["Docker-Distribution-Api-Version"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/hub/app/blobs/sha256:xyz", 400, "DIGEST_INVALID"),
        ("/v2/hub/app/blobs/" + ZERO[:-1], 400, "DIGEST_INVALID"),
        ("/v2/hub/app/blobs/" + ZERO.upper(), 400, "DIGEST_INVALID"),
        ("/v2/hub/app/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
        ("/v2/hub/app/blobs/latest", 400, "DIGEST_INVALID"),
        ("/v2/hub/app/manifests/sha256:0", 400, "DIGEST_INVALID"),
        ("/v2/hub/app/manifests/" + "t" * 129, 400, "TAG_INVALID"),
        ("/v2/hub/app/manifests/-x", 400, "TAG_INVALID"),
        ("/v2/hub/app/manifests/", 400, "TAG_INVALID"),
        ("/v2/hub/App/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/../etc/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/%2e%2e/etc/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%2fb/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%2Fb/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%00b/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%5cb/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%0ab/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%0d%0aX-Evil:1/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a%zzb/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/%ff%fe/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/a//b/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/" + "a" * 10_000 + "/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/" + "a/" * 5_000 + "manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/hub/app/manifests/1.0%2f..%2f..", 400, "NAME_INVALID"),
        ("/v2/hub/app/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/hub/app/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/hub/app/tags/list?n=" + "9" * 100, 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/nowhere/app/manifests/1.0", 404, "NAME_UNKNOWN"),
        ("/v2/nowhere/app/blobs/" + ZERO, 404, "NAME_UNKNOWN"),
        ("/v2/app/manifests/1.0", 404, "NAME_UNKNOWN"),
        ("/v2/hub/app", 404, "NAME_UNKNOWN"),
        ("/v2/hub/app/tags/other", 404, "NAME_UNKNOWN"),
        ("/v2/token", 404, "NAME_UNKNOWN"),
    ],
)
async def test_bad_input_is_refused_in_the_protocols_words(
    registry: Registry, gateways: Gateways, logged: Logged, path: str, status: int, code: str
) -> None:
    gateway = await alone(gateways, registry)
    got = await gateway.get(path)
    headed = await gateway.head(path)

    assert (status, code) == (got.status, got.code)
    assert (status, b"") == (headed.status, headed.body)
    assert 0 == registry.count()
    assert "Traceback" not in logged.text
    assert "X-Evil" not in got.headers


async def test_a_raw_backslash_or_control_character_is_refused(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    gateway = await alone(gateways, registry)
    for path in ("/v2/hub/a\\b/manifests/1.0", "/v2/hub/a\x00b/manifests/1.0", "/v2/hub/\xff/manifests/1.0"):
        async with wire(gateway.url) as client:
            await client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

            assert b" 400 " == (await client.rest())[8:13]
    assert 0 == registry.count()
    assert "Traceback" not in logged.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_push_is_told_where_to_go(registry: Registry, gateways: Gateways, method: str) -> None:
    gateway = await alone(gateways, registry)
    for path in ("/v2/hub/app/blobs/uploads/", "/v2/hub/app/manifests/1.0"):
        refused = await gateway.ask(method, path)

        assert (405, "UNSUPPORTED") == (refused.status, refused.code)
        assert "GET, HEAD" == refused.headers["Allow"]
    assert 0 == registry.count()


async def test_a_blob_by_prefix_and_by_view(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob("library/app", b"layer")
    gateway = await gateways.start({"hub": registry}, views={"default": ["hub"], "all": ["hub"]})
    for prefix in ("", "hub/", "all/"):
        assert b"layer" == (await gateway.get(f"/v2/{prefix}library/app/blobs/{wanted}")).body


async def test_an_empty_blob_is_a_blob(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob("library/app", b"")
    gateway = await gateways.start({"hub": registry})
    for _ in range(2):
        answer = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")

        assert (200, b"", "0") == (answer.status, answer.body, answer.headers["Content-Length"])
    await gateway.at_rest()

    assert [digest(b"")] == gateway.blobs


async def test_a_blob_may_be_named_by_sha512(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob("library/app", b"layer", "sha512")
    gateway = await gateways.start({"hub": registry})
    answers = [await gateway.get(f"/v2/hub/library/app/blobs/{wanted}") for _ in range(2)]
    registry.on["blob"] = lies.says(200, b"other")
    lied = await gateway.get(f"/v2/hub/library/app/blobs/{wanted.replace(wanted[-4:], '0000')}")

    assert {(200, b"layer", wanted)} == {
        (one.status, one.body, one.headers["Docker-Content-Digest"]) for one in answers
    }
    assert 502 == lied.status


async def test_a_failure_names_no_more_than_it_should(registry: Registry, gateways: Gateways) -> None:
    gateway = await alone(gateways, registry)
    await registry.stop()
    failed = await gateway.get(f"/v2/hub/app/blobs/{ZERO}")

    assert (502, UNAVAILABLE) == (failed.status, failed.code)
    assert "Apprproxy-Upstream" not in failed.headers
    assert "Cache-Status" not in failed.headers
