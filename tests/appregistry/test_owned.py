"""Owned and denied packages: no path, filter or search leads to another upstream's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.appregistry.archives import chart, packed
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import RunningGateway, keys_of, running_gateway
from tests.appregistry.registry import Registry, as_json
from tests.appregistry.upstream import Upstream, running

OURS, THEIRS = packed(chart("1.0.0", "ours")), packed(chart("9.9.9", "theirs"))
BELOW = [
    "corp/app",
    "corp/app/1.0.0",
    "corp/app/1.0.0/helm",
    "corp/app/default/-",
    "corp/app/1.0.0/helm/pull",
    "corp/app/channels",
    "corp/app/channels/stable",
    f"corp/app/blobs/sha256/{'0' * 64}",
]


@asynccontextmanager
async def company(folder: Path, owner: Upstream, **keys: Any) -> AsyncIterator[tuple[RunningGateway, Upstream]]:
    """A stranger first, who has the owner's package too."""
    async with running(Registry()) as stranger:
        stranger.registry.push("corp/app", "9.9.9", "helm", THEIRS)
        stranger.registry.push("alice/nginx", "1.0.0", "helm", OURS)
        sections = {"quay": keys_of(stranger), "inner": keys_of(owner, own=["corp/*"], **keys)}
        async with running_gateway(folder / "cache", sections) as gateway:
            yield gateway, stranger


@pytest.mark.parametrize("below", BELOW)
async def test_no_request_for_an_owned_package_reaches_another_upstream(
    below: str, tmp_path: Path, upstream: Upstream
) -> None:
    async with company(tmp_path, upstream) as (gateway, stranger):
        for prefix in ("/cnr", "/inner/cnr"):
            await gateway.get(f"{prefix}/api/v1/packages/{below}")
        refused = await gateway.get(f"/quay/cnr/api/v1/packages/{below}")

        assert (403, "forbidden") == (refused.status, refused.json["code"])
        assert "upstreams.inner.own has 'corp/*'" in refused.json["message"]
        assert 0 == stranger.count()
        assert upstream.count() > 0


@pytest.mark.parametrize("below", BELOW)
async def test_nor_does_one_while_the_owner_is_down(below: str, tmp_path: Path, upstream: Upstream) -> None:
    await upstream.stop()
    async with company(tmp_path, upstream) as (gateway, stranger):
        failed = await gateway.get(f"/cnr/api/v1/packages/{below}")

        assert 502 == failed.status
        assert 0 == stranger.count()


async def test_a_filter_that_names_an_owned_namespace_goes_to_its_owner_only(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.registry.push("corp/app", "1.0.0", "helm", OURS)
    async with company(tmp_path, upstream) as (gateway, stranger):
        listed = await gateway.get("/cnr/api/v1/packages?namespace=corp")
        filtered = await gateway.get("/cnr/api/v1/packages?namespace=corp&media_type=helm&query=app")
        refused = await gateway.get("/quay/cnr/api/v1/packages?namespace=corp")

        assert [["1.0.0"]] * 2 == [got.json[0]["releases"] for got in (listed, filtered)]
        assert 403 == refused.status
        assert 0 == stranger.count()
        assert "Apprproxy-Partial" not in listed.headers


async def test_what_a_stranger_lists_of_an_owned_namespace_is_not_in_lists_and_searches(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.registry.push("corp/app", "1.0.0", "helm", OURS)
    async with company(tmp_path, upstream) as (gateway, stranger):
        stranger.registry.push("corp/squatted", "1.0.0", "helm", THEIRS)
        listed = await gateway.get("/cnr/api/v1/packages")
        alone = await gateway.get("/quay/cnr/api/v1/packages")
        found = await gateway.get("/cnr/api/v1/packages/search?q=corp")

        assert [("alice/nginx", ["1.0.0"]), ("corp/app", ["1.0.0"])] == [
            (one["name"], one["releases"]) for one in listed.json
        ]
        assert ["alice/nginx"] == [one["name"] for one in alone.json]
        assert ["corp/app"] == found.json
        assert 0 == stranger.count("corp")


async def test_nor_what_only_some_readers_take_for_its_name(tmp_path: Path, upstream: Upstream) -> None:
    """Go takes whatever case a field has."""
    async with company(tmp_path, upstream) as (gateway, stranger):
        stranger.twist = lambda _: as_json([{"name": "alice/nginx", "Name": "corp/app", "releases": ["9.9.9"]}])
        listed = await gateway.get("/cnr/api/v1/packages")
        alone = await gateway.get("/quay/cnr/api/v1/packages")

    assert ([], "quay") == (listed.json, listed.headers["Apprproxy-Partial"])
    assert 502 == alone.status


async def test_a_denied_package_is_neither_listed_nor_served_nor_pushed(upstream: Upstream, start: Start) -> None:
    upstream.registry.push("corp/secret", "1.0.0", "helm", OURS)
    upstream.registry.push("corp/app", "1.0.0", "helm", OURS)
    gateway = await start({"quay": upstream}, deny=["corp/secret"], writes="pass")
    pull = await gateway.get("/cnr/api/v1/packages/corp/secret/1.0.0/helm/pull")
    push = await gateway.get("/cnr/api/v1/packages/corp/secret", "POST", body=b"{}")
    listed = await gateway.get("/cnr/api/v1/packages")

    assert [403, 403] == [pull.status, push.status]
    assert "upstreams.quay.deny has 'corp/secret'" in pull.json["message"]
    assert ["corp/app"] == [one["name"] for one in listed.json]
    assert 0 == upstream.count("secret")


@pytest.mark.parametrize("below", ["", "/search?q=app", "/corp/app", "/corp/app/1.0.0/helm/pull", "/corp/app/channels"])
async def test_an_upstream_that_is_refused_names_is_asked_by_digest_only(
    below: str, upstream: Upstream, start: Start
) -> None:
    digest = upstream.registry.push("corp/app", "1.0.0", "helm", OURS)
    gateway = await start({"quay": upstream}, names="refuse")
    refused = await gateway.get(f"/cnr/api/v1/packages{below}")
    asked = upstream.count()

    assert 403 == refused.status
    assert "upstreams.quay.names is refuse" in refused.json["message"]
    assert 0 == asked
    assert OURS == (await gateway.get(f"/cnr/api/v1/packages/corp/app/blobs/sha256/{digest}")).body
