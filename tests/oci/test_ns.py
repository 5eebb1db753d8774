"""``?ns=`` says which upstream is meant: it wins over the path, is a closed list, and is never a place to dial."""

import json

import pytest

from tests.fakes import lies
from tests.fakes.content import digest, manifest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

TAG = "/v2/library/app/manifests/1.0"
BLOB = f"/v2/library/app/blobs/{digest(b'layer')}"
HUB, FAR = "docker.io", "far.corp:5000"


async def two(gateways: Gateways, registry: Registry, other: Registry) -> Running:
    """The host of each, and a view that has but the second."""
    registry.push("library/app", "1.0", b"layer", note="hub")
    other.push("library/app", "1.0", b"layer", note="far")
    upstreams = {"hub": oci(registry, ns=[HUB, "index.docker.io"]), "far": oci(other, ns=[FAR])}
    return await gateways.start(upstreams, views={"default": ["far"], "both": ["hub", "far"]})


@pytest.mark.parametrize("prefix", ["", "hub/"])
@pytest.mark.parametrize("host", [HUB, "index.docker.io", "Docker.IO"])
async def test_the_host_says_who_answers(
    registry: Registry, other: Registry, gateways: Gateways, prefix: str, host: str
) -> None:
    gateway = await two(gateways, registry, other)
    for method in ("HEAD", "GET"):
        got = await gateway.ask(method, f"/v2/{prefix}library/app/manifests/1.0?ns={host}")

        assert (200, "hub") == (got.status, got.headers["Apprproxy-Upstream"])
        assert host.lower() == got.headers["OCI-Namespace"]
    assert manifest(b"layer", note="hub") == got.body
    assert 0 == other.count()


async def test_a_host_with_its_port(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    for host in (FAR, FAR.replace(":", "%3A")):
        got = await gateway.get(f"{TAG}?ns={host}")

        assert ("far", FAR) == (got.headers["Apprproxy-Upstream"], got.headers["OCI-Namespace"])
    assert 404 == (await gateway.get(f"{TAG}?ns=far.corp")).status
    assert 0 == registry.count()


async def test_without_a_host_the_default_view_answers(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    got = await gateway.get(TAG)

    assert "far" == got.headers["Apprproxy-Upstream"]
    assert "OCI-Namespace" not in got.headers


async def test_the_host_wins_over_a_prefix_that_says_another(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await two(gateways, registry, other)
    registry.push("far/library/app", "1.0", note="a repository of that name")
    got = await gateway.get(f"/v2/far/library/app/manifests/1.0?ns={HUB}")
    view = await gateway.get(f"/v2/both/library/app/manifests/1.0?ns={HUB}")

    assert (manifest(note="a repository of that name"), "hub") == (got.body, got.headers["Apprproxy-Upstream"])
    assert (404, "MANIFEST_UNKNOWN") == (view.status, view.code)
    assert 0 == other.count()


async def test_a_repository_named_like_its_upstream_is_one(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await two(gateways, registry, other)
    content = registry.push("hub", "1.0", note="of one segment")
    nested = registry.push("hub/app", "1.0", note="of two")

    assert content == (await gateway.get(f"/v2/hub/manifests/1.0?ns={HUB}")).body
    assert nested == (await gateway.get(f"/v2/hub/hub/app/manifests/1.0?ns={HUB}")).body


async def test_every_answer_names_the_host(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    paths = {
        "/v2/": 200,
        TAG: 200,
        f"/v2/library/app/manifests/{digest(manifest(b'layer', note='hub'))}": 200,
        BLOB: 200,
        "/v2/library/app/tags/list": 200,
        "/v2/_catalog": 200,
        "/v2/hub/_catalog": 200,
        f"/v2/library/app/referrers/{digest(b'unknown')}": 200,
        "/v2/library/app/manifests/none": 404,
        f"/v2/library/app/blobs/{digest(b'none')}": 404,
        "/v2/library/app/manifests/-x": 400,
        "/v2/library/app": 404,
    }
    for path, status in paths.items():
        for method in ("HEAD", "GET"):
            got = await gateway.ask(method, f"{path}?ns={HUB}")

            assert (status, HUB) == (got.status, got.headers.get("OCI-Namespace")), f"{method} {path}"
    ranged = await gateway.get(f"{BLOB}?ns={HUB}", Range="bytes=0-")
    unchanged = await gateway.get(f"{BLOB}?ns={HUB}", If_None_Match=ranged.headers["ETag"])
    registry.on["tags"] = lies.says(500)
    failed = await gateway.get(f"/v2/library/more/tags/list?ns={HUB}")

    assert [206, 304, 502] == [ranged.status, unchanged.status, failed.status]
    assert {HUB} == {got.headers["OCI-Namespace"] for got in (ranged, unchanged, failed)}
    assert 0 == other.count()


@pytest.mark.parametrize(
    "host",
    ["quay.io", "", "hub", "docker.io.", "docker.io:443", "https://docker.io", "127.0.0.1", "169.254.169.254", "a%00b"],
)
async def test_an_unknown_host_sends_clients_on_to_their_next(
    registry: Registry, other: Registry, gateways: Gateways, host: str
) -> None:
    gateway = await two(gateways, registry, other)
    for path in (TAG, BLOB, "/v2/hub/library/app/manifests/1.0", "/v2/_catalog", "/v2/", "/v2/library/app/tags/list"):
        refused = await gateway.get(f"{path}?ns={host}")

        assert (404, "NAME_UNKNOWN") == (refused.status, refused.code), path
        assert "OCI-Namespace" not in refused.headers
    assert (0, 0) == (registry.count(), other.count())


async def test_a_host_is_never_dialled(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    port = other.url.removeprefix("http://")

    assert 404 == (await gateway.get(f"{TAG}?ns={port}")).status
    assert (0, 0) == (registry.count(), other.count())


async def test_a_host_writes_no_header_of_its_own(
    registry: Registry, other: Registry, gateways: Gateways, logged: Logged
) -> None:
    gateway = await two(gateways, registry, other)
    for path in ("/v2/", TAG):
        async with wire(gateway.url) as client:
            await client.send(f"GET {path}?ns=x%0d%0aX-Evil:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await client.rest()

            assert b" 404 " == answer[8:13]
            assert b"\nX-Evil" not in answer
    assert "Traceback" not in logged.text


async def test_the_first_of_two_hosts_counts(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)

    assert HUB == (await gateway.get(f"{TAG}?ns={HUB}&ns={FAR}")).headers["OCI-Namespace"]
    assert 404 == (await gateway.get(f"{TAG}?ns=quay.io&ns={HUB}")).status


async def test_a_next_page_is_of_the_same_host(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    registry.push("library/app", "2.0", b"layer")
    first = await gateway.get(f"/v2/library/app/tags/list?n=1&ns={HUB}")
    second = await gateway.get(first.headers["Link"].partition(">")[0].removeprefix("<"))

    assert (["1.0"], ["2.0"]) == (json.loads(first.body)["tags"], json.loads(second.body)["tags"])
    assert HUB == second.headers["OCI-Namespace"]


async def test_a_next_page_repeats_no_long_query(registry: Registry, other: Registry, gateways: Gateways) -> None:
    """Escaped it is three times as long, which no client reads, and takes milliseconds in which nobody is served."""
    gateway = await two(gateways, registry, other)
    registry.push("library/app", "2.0", b"layer")
    first = await gateway.get(f"/v2/library/app/tags/list?n=1&short=1&ns={HUB}")
    long = await gateway.get(f"/v2/library/app/tags/list?n=1&ns={HUB}&x={'%22' * 1000}&ns={'<' * 20_000}")

    assert f'</v2/library/app/tags/list?n=1&last=1.0&short=1&ns={HUB}>; rel="next"' == first.headers["Link"]
    assert f'</v2/library/app/tags/list?n=1&last=1.0&ns={HUB}>; rel="next"' == long.headers["Link"]


async def test_the_upstream_hears_nothing_of_it(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    await gateway.get(f"{TAG}?ns={HUB}")

    assert not any("ns=" in seen.target or "?" in seen.target for seen in registry.seen)
