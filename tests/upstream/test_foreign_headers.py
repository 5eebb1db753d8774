"""Header fields of upstreams are foreign text: whatever stands in them, the answer is clean and nothing crashes."""

import pytest

from tests.fakes import lies
from tests.fakes.content import digest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.raw import answering
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
TAGS = "/v2/hub/library/app/tags/list"
BLOB = f"/v2/hub/library/app/blobs/{digest(b'layer')}"
BODY = b'{"tags": ["a"]}'


@pytest.mark.parametrize("path", [TAG, TAGS, BLOB])
@pytest.mark.parametrize(
    "head",
    [
        b"307 X\r\nLocation: http://10.0.0.1/\xff\xfe",
        b"307 X\r\nLocation: http://\xff\xfe/",
        b"307 X\r\nLocation: \xff\xfe",
        b"307 X\r\nLocation: http://10.0.0.1:x/",
        b"307 X\r\nLocation: ",
        b"307 X\r\nLocation: https://[]@",
        b"503 X\r\nRetry-After: \xff\xfe",
        b'401 X\r\nWWW-Authenticate: Bearer realm="http://\xff\xfe/"',
        b'401 X\r\nWWW-Authenticate: Bearer realm="http://127.0.0.1:1/\xff\xfe",service="\xff"',
        b"401 X\r\nWWW-Authenticate: \xff\xfe",
        b'401 X\r\nWWW-Authenticate: Bearer realm="https://[]@"',
        b'401 X\r\nWWW-Authenticate: Bearer realm="https://[::\xff]/"',
        b"307 X\r\nLocation: https://[::\xff]/",
        b"200 OK\r\nDocker-Content-Digest: \xff\xfe",
        b"200 OK\r\nLink: <\xff\xfe>; rel=next",
        b"200 OK\r\nContent-Encoding: \xff\xfe",
        b"200 \xff\xfe\r\nX: \xff\xfe",
        b"999 X\r\nX: y",
        b"404 X\r\nContent-Type: \xff\xfe",
    ],
)
async def test_no_header_makes_the_gateway_stumble(gateways: Gateways, logged: Logged, head: bytes, path: str) -> None:
    answer = b"HTTP/1.1 " + head + b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
    async with answering(answer) as url:
        gateway = await gateways.start({"hub": {"url": url}})
        got, headed = await gateway.get(path), await gateway.head(path)

        assert (path == TAGS and got.status == 200) or (got.code == "UNAVAILABLE" and got.status in (502, 503))
        assert {headed.status} <= {200, 502, 503}
    assert "Traceback" not in logged.text


@pytest.mark.parametrize("kind", ["a/" + "b" * 5000, "text/html; charset=utf-8", "\udcff\udcfe", "", "a/b\t"])
async def test_an_odd_content_type_does_not_matter(
    registry: Registry, gateways: Gateways, logged: Logged, kind: str
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    registry.on["HEAD tag"] = lies.says(200, Content_Type=kind, Docker_Content_Digest=digest(content))
    gateway = await gateways.start({"hub": registry})
    first, second = await gateway.get(TAG), await gateway.get(TAG)

    assert (200, content) == (first.status, first.body)
    assert "hit; ttl=60" == second.cache
    assert "Traceback" not in logged.text


async def test_a_credential_does_not_come_back_from_abroad(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"layer")
    home = f"{registry.url}/v2/library/private/blobs/{digest(b'layer')}"
    abroad = f"http://localhost:{other.url.rpartition(':')[2]}/x"
    registry.add_blob("library/private", b"layer")
    other.on["other"] = lies.redirects(home)
    registry.on["GET blob"] = lies.in_turn(
        lies.says(401, WWW_Authenticate="Basic"), lies.redirects(abroad), lies.honestly
    )
    gateway = await gateways.start(
        {"hub": oci(registry, redirects=["localhost"], auth={"username": "bot", "password": "s3cret"})}
    )
    await gateway.get(BLOB)

    assert [False, True, False] == ["authorization" in seen.headers for seen in registry.seen]
    assert not any("authorization" in seen.headers for seen in other.seen)


async def test_requests_go_through_the_proxy_that_the_operator_named(registry: Registry, gateways: Gateways) -> None:
    registry.on["other"] = lies.says(500)
    gateway = await gateways.start({"hub": {"url": "http://registry.invalid", "proxy": registry.url}})
    failed = await gateway.get(BLOB)

    assert 502 == failed.status
    assert f"http://registry.invalid/v2/library/app/blobs/{digest(b'layer')}" == registry.seen[0].target


@pytest.mark.parametrize("scheme", ["http://", ""])  # curl takes it without one
async def test_the_environment_names_a_proxy_too(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", other.url.replace("http://", scheme))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    registry.add_blob("library/app", b"layer")
    other.on["other"] = lies.says(500)
    gateway = await gateways.start({"hub": registry, "far": {"url": "http://registry.invalid"}})
    direct, through = await gateway.get(BLOB), await gateway.get(TAG.replace("hub", "far"))

    assert (200, 502) == (direct.status, through.status)
    assert 1 == other.count()


async def test_a_name_that_begins_as_loopback_does_goes_through_the_proxy(
    other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is redirected to it would go round what the proxy keeps away."""
    monkeypatch.setenv("http_proxy", other.url)
    monkeypatch.setenv("no_proxy", "")
    other.on["other"] = lies.says(500)
    gateway = await gateways.start({"far": {"url": "http://127.registry.invalid"}})
    await gateway.get(TAG.replace("hub", "far"))

    assert 1 == other.count()
