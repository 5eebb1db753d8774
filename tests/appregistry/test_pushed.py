"""A push through the gateway gives a release the content that it brought, and none that its upstream chose."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.appregistry.archives import bomb, chart, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import Clock, RunningGateway, keys_of, running_gateway
from tests.appregistry.registry import Answer, Registry
from tests.appregistry.upstream import Upstream, running
from tests.fakes.clock import Gate

PACKAGE = "/cnr/api/v1/packages/alice/nginx"
RELEASE = f"{PACKAGE}/1.0.0/helm"
FIRST, NOW, OTHER = chart("1.0.0"), chart("1.0.0", "now"), chart("1.0.0", "other")
MOVES = "apprproxy_moved_names_total"


@pytest.fixture
async def gateway(start: Start, upstream: Upstream) -> RunningGateway:
    """One that has seen the first content of the release; its upstream says yes to whatever is written."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
    gateway = await start({"up": upstream}, writes="pass")
    await gateway.get(f"{RELEASE}/pull")
    upstream.twist = lambda target: Answer(200, b"{}") if target in (f"{PACKAGE}?force=true", RELEASE) else None
    return gateway


async def push(gateway: RunningGateway, blob: bytes, media_type: str = "helm") -> None:
    coded = base64.b64encode(blob).decode()
    body = json.dumps({"release": "1.0.0", "media_type": media_type, "blob": coded}).encode()
    assert 200 == (await gateway.get(f"{PACKAGE}?force=true", "POST", body=body)).status


async def pulled(gateway: RunningGateway) -> bytes:
    return unpacked((await gateway.get(f"{RELEASE}/pull")).body)


async def test_what_was_pushed_is_taken_once_the_upstream_says_so(gateway: RunningGateway, upstream: Upstream) -> None:
    await push(gateway, packed(NOW))
    upstream.twist = lambda _: None
    before = await pulled(gateway)
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
    gateway.clock.advance(120)

    assert (FIRST, NOW) == (before, await pulled(gateway))
    assert 0 == gateway.total(MOVES, upstream="up")


async def test_what_was_pushed_is_taken_without_its_format_as_well(gateway: RunningGateway, upstream: Upstream) -> None:
    upstream.twist = lambda _: None
    await gateway.get(f"{PACKAGE}/1.0.0/-")
    upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
    await push(gateway, packed(NOW))
    upstream.twist = lambda _: None
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
    gateway.clock.advance(120)

    assert NOW == unpacked((await gateway.get(f"{PACKAGE}/1.0.0/-/pull")).body)
    assert 0 == gateway.total(MOVES, upstream="up")


@pytest.mark.parametrize("media_type", ["helm", "-"])
async def test_so_is_what_was_pushed_while_somebody_asked_for_the_release_for_the_first_time(
    media_type: str, start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked before is told what was there then, and that is remembered after the push."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
    gateway, gate, pull = await start({"up": upstream}, writes="pass"), Gate(), f"{PACKAGE}/1.0.0/{media_type}/pull"
    remember = gateway.app.names.set_first_seen

    async def later(*args: Any) -> bool:
        await gate()
        return await remember(*args)

    monkeypatch.setattr(gateway.app.names, "set_first_seen", later)
    before = asyncio.create_task(gateway.get(pull))
    await gate.reached()
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
    upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
    await push(gateway, packed(NOW))
    gate.open()

    assert FIRST == unpacked((await before).body)
    assert NOW == unpacked((await gateway.get(pull)).body)
    assert 0 == gateway.total(MOVES, upstream="up")


@pytest.mark.parametrize("first", [f"{PACKAGE}/1.0.0/-", RELEASE])
async def test_that_is_so_also_where_another_format_was_pushed_after_it(
    first: str, gateway: RunningGateway, upstream: Upstream
) -> None:
    upstream.twist = lambda _: None
    await gateway.get(f"{PACKAGE}/1.0.0/-")
    upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
    await push(gateway, packed(NOW))
    await push(gateway, packed(OTHER), "kpm")
    upstream.twist = lambda _: None
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
    gateway.clock.advance(120)
    await gateway.get(first)

    assert NOW == unpacked((await gateway.get(f"{PACKAGE}/1.0.0/-/pull")).body)
    assert 0 == gateway.total(MOVES, upstream="up")


async def test_what_was_taken_stands_in_its_turn(gateway: RunningGateway, upstream: Upstream) -> None:
    await push(gateway, packed(NOW))
    upstream.twist = lambda _: None
    for content in (NOW, FIRST, OTHER):
        upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(content))
        gateway.clock.advance(120)

        assert NOW == await pulled(gateway)
    assert 2 == gateway.total(MOVES, upstream="up")


@pytest.mark.parametrize("blob", [b"", b"no gzip", packed(OTHER), packed(NOW)[:-9], bomb(20 << 20)])
async def test_a_push_of_something_else_moves_nothing(gateway: RunningGateway, upstream: Upstream, blob: bytes) -> None:
    await push(gateway, blob)
    upstream.twist = lambda _: None
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))

    assert FIRST == await pulled(gateway)
    assert 1 == gateway.total(MOVES, upstream="up")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"release":"1.0.0","media_type":"helm","blob":7}', b"\xff"])
async def test_a_push_without_a_package_moves_nothing(gateway: RunningGateway, upstream: Upstream, body: bytes) -> None:
    assert 200 == (await gateway.get(f"{PACKAGE}?force=true", "POST", body=body)).status
    upstream.twist = lambda _: None
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))

    assert FIRST == await pulled(gateway)


async def test_a_deletion_that_anybody_may_ask_for_moves_nothing(gateway: RunningGateway, upstream: Upstream) -> None:
    assert 200 == (await gateway.get(RELEASE, "DELETE")).status
    upstream.twist = lambda _: None
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))

    assert FIRST == await pulled(gateway)
    assert 1 == gateway.total(MOVES, upstream="up")


async def test_what_was_pushed_through_a_view_is_had_through_it_though_another_member_had_it_before(
    tmp_path: Path, clock: Clock, upstream: Upstream
) -> None:
    async with running(Registry()) as other:
        for release in ("1.0.0", "2.0.0"):
            other.registry.push("alice/nginx", release, "helm", packed(OTHER))
        sections = {"one": keys_of(upstream, writes="pass"), "two": keys_of(other)}
        async with running_gateway(tmp_path, sections, clock) as gateway:
            before = [await pulled(gateway), (await gateway.get(f"{PACKAGE}/2.0.0/helm")).status]
            upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
            await push(gateway, packed(NOW))
            upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
            clock.advance(120)
            after = [await pulled(gateway), (await gateway.get(f"{PACKAGE}/2.0.0/helm")).status]

    assert ([OTHER, 200], [NOW, 404]) == (before, after)


async def test_so_is_what_was_pushed_while_the_other_member_was_asked_for_it(
    tmp_path: Path, clock: Clock, upstream: Upstream
) -> None:
    async with running(Registry()) as other:
        other.registry.push("alice/nginx", "1.0.0", "helm", packed(OTHER))
        other.gate = Gate()
        sections = {"one": keys_of(upstream, writes="pass"), "two": keys_of(other)}
        async with running_gateway(tmp_path, sections, clock) as gateway:
            pulling = asyncio.create_task(pulled(gateway))
            await other.gate.reached()
            upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
            await push(gateway, packed(NOW))
            upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))
            other.gate.open()
            before = await pulling
            clock.advance(120)
            after = await pulled(gateway)

    assert (OTHER, NOW) == (before, after)


@pytest.mark.parametrize("ahead", [None, {}, {"deny": ["alice/*"]}], ids=["first", "behind", "behind-denied"])
async def test_offline_what_was_pushed_through_a_view_is_not_what_another_member_had_before(
    ahead: dict[str, Any] | None, tmp_path: Path, clock: Clock, upstream: Upstream
) -> None:
    """Nobody has pulled it since, so that it is not held: that does not make it the other one's. So it is where another
    member is ahead of who took it."""
    async with running(Registry()) as nobody, running(Registry()) as other:
        other.registry.push("alice/nginx", "1.0.0", "helm", packed(OTHER))
        before_it = {} if ahead is None else {"zero": keys_of(nobody, **ahead)}
        sections = before_it | {"one": keys_of(upstream, writes="pass"), "two": keys_of(other)}
        async with running_gateway(tmp_path, sections, clock) as gateway:
            before = await pulled(gateway)
            upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
            await push(gateway, packed(NOW))
        async with running_gateway(tmp_path, sections, clock, offline=True) as gateway:
            after = [(await gateway.get(f"{place}{RELEASE}")).status for place in ("", "/two")]

    assert (OTHER, [504, 200]) == (before, after)


async def test_offline_what_was_pushed_behind_the_owner_of_a_package_is_no_name_of_it_in_the_view(
    tmp_path: Path, clock: Clock, upstream: Upstream
) -> None:
    """As it is none where the owner can be asked: whoever may push there would have names of their own given out."""
    theirs = f"{PACKAGE}/2.0.0/helm"
    async with running(Registry()) as owner:
        owner.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
        upstream.registry.push("alice/nginx", "2.0.0", "helm", packed(OTHER))
        sections = {"one": keys_of(owner), "two": keys_of(upstream, writes="pass")}
        async with running_gateway(tmp_path, sections, clock) as gateway:
            before = await pulled(gateway)
            upstream.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
            await push(gateway, packed(NOW))
            await gateway.get(f"/two{theirs}")
        async with running_gateway(tmp_path, sections, clock, offline=True) as gateway:
            after = [(await gateway.get(f"{place}{theirs}")).status for place in ("/two", "")]

    assert (FIRST, [200, 504]) == (before, after)


async def test_offline_what_was_pushed_to_a_later_member_makes_a_repository_no_less_the_earlier_ones(
    tmp_path: Path, clock: Clock, upstream: Upstream
) -> None:
    """Whoever may push there would have its own word taken for the earlier one's names."""
    async with running(Registry()) as later:
        upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
        later.registry.push("alice/nginx", "2.0.0", "helm", packed(OTHER))
        sections = {"one": keys_of(upstream), "two": keys_of(later, writes="pass")}
        names = [f"{PACKAGE}/{release}/helm" for release in ("1.0.0", "2.0.0")]
        async with running_gateway(tmp_path, sections, clock) as gateway:
            before = [(await gateway.get(path)).status for path in (*names, f"/two{names[1]}")]
            later.twist = lambda target: Answer(200, b"{}") if target == f"{PACKAGE}?force=true" else None
            await push(gateway, packed(NOW))
        async with running_gateway(tmp_path, sections, clock, offline=True) as gateway:
            after = [(await gateway.get(path)).status for path in (names[1], f"/two{names[1]}", names[0])]

    assert ([200, 404, 200], [504, 200, 200]) == (before, after)
