"""After a write what it changed is forgotten: all else is asked anew, and served where its owner cannot be asked."""

import asyncio
import base64
import json

import pytest

from apprproxy.gateway.names import lookup
from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import RunningGateway
from tests.appregistry.registry import Answer, html
from tests.appregistry.upstream import Upstream
from tests.fakes.clock import PATIENCE, Gate

LIST = "/cnr/api/v1/packages"
PACKAGE = f"{LIST}/alice/nginx"
STABLE = f"{PACKAGE}/channels/stable"
TIMES = {"revalidate": "0.1s"}
ITS_NAMES = (f"{PACKAGE}/2.0.0/helm", f"{PACKAGE}/2.0.0/-", f"{PACKAGE}/2.0.0")
"""Of the release that is written."""
OLD, NEW = chart("1.0.0"), chart("2.0.0")


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> RunningGateway:
    """One that has seen two releases, all lists, and a channel."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(OLD))
    upstream.registry.push("alice/nginx", "2.0.0", "helm", packed(NEW))
    upstream.registry.set_channel("alice/nginx", "stable", "1.0.0")
    gateway = await start({"up": upstream}, writes="pass", gone="keep", missing_for="0s", timeouts=TIMES)
    seen = await statuses(gateway, f"{PACKAGE}/1.0.0/helm/pull", *ITS_NAMES, LIST, PACKAGE, STABLE)
    assert {200} == {*seen}
    return gateway


async def write(gateway: RunningGateway, upstream: Upstream, method: str, path: str, body: bytes = b"") -> None:
    upstream.twist = lambda _: Answer(200, b"{}")
    assert 200 == (await gateway.get(path, method, body=body)).status
    upstream.twist = lambda _: None


async def push(gateway: RunningGateway, upstream: Upstream, release: str) -> None:
    blob = base64.b64encode(packed(chart(release, "now"))).decode()
    body = json.dumps({"release": release, "media_type": "helm", "blob": blob}).encode()
    await write(gateway, upstream, "POST", f"{PACKAGE}?force=true", body)


async def statuses(gateway: RunningGateway, *paths: str) -> list[int]:
    return [(await gateway.get(path)).status for path in paths]


async def test_what_a_push_did_not_change_is_served_while_the_upstream_is_away(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    await push(gateway, upstream, "2.0.0")
    await upstream.stop()
    pulled, listed = await gateway.get(f"{PACKAGE}/1.0.0/helm/pull"), await gateway.get(LIST)

    assert (200, OLD) == (pulled.status, unpacked(pulled.body))
    assert (200, ["alice/nginx"]) == (listed.status, [package["name"] for package in listed.json])
    assert [200, 200] == await statuses(gateway, PACKAGE, STABLE)
    assert [503] * 3 == await statuses(gateway, *ITS_NAMES), "which are of before the push"


async def test_a_deletion_takes_what_it_deletes_and_keeps_what_its_owner_had_dropped_before(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.registry.delete("alice/nginx", "1.0.0", "helm")
    upstream.registry.delete("alice/nginx", "2.0.0", "helm")
    await write(gateway, upstream, "DELETE", f"{PACKAGE}/2.0.0/helm")

    assert [200, 404, 404] == await statuses(gateway, f"{PACKAGE}/1.0.0/helm/pull", *ITS_NAMES[:2])


@pytest.mark.parametrize("media_type", ["helm", "-"])
async def test_who_names_no_release_is_not_given_one_that_was_deleted(
    media_type: str, gateway: RunningGateway, upstream: Upstream
) -> None:
    """Not for as long as the upstream is away, nor as what is gone where there is none any more."""
    default, gone = (
        f"{PACKAGE}/default/{media_type}/pull",
        Answer(404, upstream.registry.answer("GET", f"{PACKAGE}/3/-").body),
    )
    before = (await gateway.get(default)).status
    await write(gateway, upstream, "DELETE", f"{PACKAGE}/2.0.0/helm")
    upstream.twist = lambda _: html(503)
    away = (await gateway.get(default)).status
    upstream.twist = lambda _: gone
    gateway.clock.advance(120)

    assert (200, 503, 404) == (before, away, (await gateway.get(default)).status)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"{STABLE}/2.0.0"), ("DELETE", f"{STABLE}/1.0.0"), ("DELETE", STABLE)]
)
async def test_a_channel_that_was_changed_is_not_served_as_it_was(
    gateway: RunningGateway, upstream: Upstream, method: str, path: str
) -> None:
    await write(gateway, upstream, method, path)
    await upstream.stop()

    assert [502, 200] == await statuses(gateway, STABLE, f"{PACKAGE}/1.0.0/helm")


async def test_who_pushed_and_who_comes_with_them_wait_for_what_a_slow_upstream_says_now(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    """However fresh what was said before is, and however long that takes."""
    await push(gateway, upstream, "3.0.0")
    upstream.registry.push("alice/nginx", "3.0.0", "helm", packed(chart("3.0.0", "now")))
    upstream.gate = Gate()
    asking = [
        asyncio.create_task(gateway.get(PACKAGE, headers=headers))
        for headers in ({}, {"Cache-Control": "no-cache"}, {})
    ]
    await upstream.gate.reached()
    done, _ = await asyncio.wait(asking, timeout=0.3)  # longer than an upstream is waited for where something is held
    upstream.gate.open()
    found = [{one["release"] for one in (await asked).json} for asked in asking]

    assert not done
    assert [{"1.0.0", "2.0.0", "3.0.0"}] * 3 == found


async def test_nor_is_what_was_before_served_at_once_where_it_was_shut_meanwhile_and_may_be_back(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    await push(gateway, upstream, "3.0.0")
    upstream.registry.push("alice/nginx", "3.0.0", "helm", packed(chart("3.0.0", "now")))
    upstream.twist = lambda _: html(503)
    away = await statuses(gateway, *[PACKAGE] * 3)
    gateway.clock.advance(60)
    upstream.twist, upstream.gate = lambda _: None, Gate()
    asking = asyncio.create_task(gateway.get(PACKAGE))
    await upstream.gate.reached()
    done, _ = await asyncio.wait([asking], timeout=0.1)  # longer than somebody who is shut is waited for else
    upstream.gate.open()

    assert ([200] * 3, set()) == (away, done)
    assert {"1.0.0", "2.0.0", "3.0.0"} == {one["release"] for one in (await asking).json}


async def test_and_no_longer_than_others_wait_to_hear_that(
    gateway: RunningGateway, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "PROBED_BY", 0.05)
    await push(gateway, upstream, "3.0.0")
    upstream.twist = lambda _: html(503)
    await statuses(gateway, *[PACKAGE] * 3)
    gateway.clock.advance(60)
    upstream.silent = True
    async with asyncio.timeout(PATIENCE):
        got = await gateway.get(PACKAGE)

    assert (200, "apprproxy; hit; ttl=0") == (got.status, got.cache)


async def test_a_list_of_everything_may_be_gone_after_a_write(gateway: RunningGateway, upstream: Upstream) -> None:
    """As some servers have none where there is nothing to list; else a list that goes without a word is an outage."""
    gone = Answer(404, b'{"error": {"code": "package-not-found", "message": "there is none", "details": {}}}')
    gateway.clock.advance(120)
    upstream.twist = lambda target: gone if target == LIST else None
    before = (await gateway.get(LIST)).status
    await write(gateway, upstream, "DELETE", f"{PACKAGE}/2.0.0/helm")
    upstream.twist = lambda target: gone if target == LIST else None

    assert (200, 404) == (before, (await gateway.get(LIST)).status)
