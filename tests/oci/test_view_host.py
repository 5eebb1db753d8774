"""A view is reached by its hosts: ns wins over a prefix, a prefix over the host, the host over the default view."""

import json

import pytest

from tests.fakes.content import manifest
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.raw import wire
from tests.fakes.registry import Registry

TAG = "/v2/library/app/manifests/1.0"
CORP = "registry.corp"


async def two(gateways: Gateways, registry: Registry, other: Registry) -> Running:
    """By default the first, by its hosts the second."""
    registry.push("library/app", "1.0", b"layer", note="hub")
    other.push("library/app", "1.0", b"layer", note="far")
    return await gateways.start(
        {
            "hub": oci(registry, ns=["docker.io"]),
            "far": oci(other),
            "old": {"kind": "appr", "url": "http://127.0.0.1:9"},
        },
        views={
            "default": ["hub"],
            "corp": {"members": ["far"], "hosts": [CORP, "[fd00::5]"]},
            "narrow": {"members": ["hub"], "hosts": [f"{CORP}:8443"]},
            "packages": {"members": ["old"], "hosts": ["packages.corp"]},
        },
    )


def whose(got: Got) -> str:
    assert 200 == got.status
    return got.headers["Apprproxy-Upstream"]


@pytest.mark.parametrize(
    ("host", "upstream"),
    [
        (CORP, "far"),
        ("REGISTRY.Corp", "far"),
        (f"{CORP}.", "far"),
        (f"{CORP}:8080", "far"),
        (f"{CORP}:8443", "hub"),
        ("[fd00::5]", "far"),
        ("[FD00:0::5]:5000", "far"),
        ("localhost", "hub"),
        ("docker.io", "hub"),
        ("far", "hub"),
        ("corp", "hub"),
        ("not a host", "hub"),
        (f"x.{CORP}", "hub"),
    ],
)
async def test_the_host_says_which_view_answers(
    registry: Registry, other: Registry, gateways: Gateways, host: str, upstream: str
) -> None:
    gateway = await two(gateways, registry, other)
    got = await gateway.get(TAG, Host=host)

    assert upstream == whose(got)
    assert manifest(b"layer", note=upstream) == got.body


async def test_a_prefix_wins_over_the_host_and_ns_over_both(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await two(gateways, registry, other)
    prefixed = await gateway.get("/v2/hub/library/app/manifests/1.0", Host=CORP)
    default = await gateway.get("/v2/default/library/app/manifests/1.0", Host=CORP)
    named = await gateway.get(f"{TAG}?ns=docker.io", Host=CORP)
    by_view = await gateway.get("/v2/corp/library/app/manifests/1.0", Host="localhost")
    unknown = await gateway.get(f"{TAG}?ns={CORP}", Host=CORP)

    assert ["hub", "hub", "hub", "far"] == [whose(got) for got in (prefixed, default, named, by_view)]
    assert (404, "NAME_UNKNOWN") == (unknown.status, unknown.code), "a view's host is no ns"


async def test_every_end_point_is_found_by_the_host(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    other.push("library/more", "2.0", b"layer")
    first = await gateway.get("/v2/_catalog?n=1", Host=CORP)
    following = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = await gateway.get(following, Host=CORP)
    tags = await gateway.get("/v2/library/more/tags/list", Host=CORP)

    pages = [json.loads(page.body)["repositories"] for page in (first, second)]
    assert [["library/app"], ["library/more"]] == pages
    assert ["2.0"] == json.loads(tags.body)["tags"]
    assert 0 == registry.count()


async def test_a_view_without_members_of_the_protocol_hands_nothing_to_the_default_view(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await two(gateways, registry, other)
    refused = await gateway.get(TAG, Host="packages.corp")

    assert (404, "NAME_UNKNOWN") == (refused.status, refused.code)
    assert (0, 0) == (registry.count(), other.count())


async def test_the_host_of_an_absolute_target_counts(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    async with wire(gateway.url) as client:
        await client.send(f"GET http://{CORP}{TAG} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await client.rest()

    assert b"Apprproxy-Upstream: far" in answer


async def test_a_request_with_two_hosts_is_refused(registry: Registry, other: Registry, gateways: Gateways) -> None:
    gateway = await two(gateways, registry, other)
    async with wire(gateway.url) as client:
        await client.send(f"GET {TAG} HTTP/1.1\r\nHost: {CORP}\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await client.rest()

    assert b" 400 " == answer[8:13]
    assert (0, 0) == (registry.count(), other.count())
