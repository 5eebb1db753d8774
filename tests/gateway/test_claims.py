"""What came with one upstream's account is shown in no other's name before that has sent it itself: its word is not
enough, for anybody may say that they have a digest."""

import asyncio
import os
import threading
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import IMAGE, digest, some_bytes
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry

MIB = 1024 * 1024
SECRET = some_bytes(300_000, seed="secret")
LARGE = some_bytes(4 * MIB, seed="large secret")
ACCOUNT = {"auth": {"username": "bot", "password": "s3cret", "share": True}}


def blob(repository: str, content: bytes, upstream: str) -> str:
    return f"/v2/{upstream}/{repository}/blobs/{digest(content)}"


async def claims_all(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
    """Says to HEAD that it has whatever is asked for."""
    if request.method != "HEAD":
        return await lies.honestly(request, honest)
    wanted = request.path.rpartition("/")[2]
    size = str(len(LARGE if wanted == digest(LARGE) else SECRET))
    return web.Response(status=200, headers={"Docker-Content-Digest": wanted, "Content-Length": size})


@pytest.fixture
async def private(registry: Registry) -> Registry:
    for content in (SECRET, LARGE):
        registry.add_blob("private/app", content)
    return registry


@pytest.fixture
async def liar(other: Registry) -> Registry:
    other.on["blob"] = other.on["manifest"] = claims_all
    return other


async def both(gateways: Gateways, private: Registry, other: Registry, **sections: Any) -> Running:
    return await gateways.start({"corp": oci(private, **ACCOUNT), "other": oci(other)}, **sections)


def stops(private: Registry) -> Gate:
    """It stands still amid the large blob until this is opened."""
    gate = Gate()
    private.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate)), by_range)
    return gate


async def beside_corps_own(gateways: Gateways, private: Registry, other: Registry, repository: str) -> tuple[Got, Got]:
    """What its own client gets, and who has asked for the same of the other amid its transfer."""
    gate = stops(private)
    gateway = await both(gateways, private, other)
    leading = asyncio.create_task(gateway.get(blob("private/app", LARGE, "corp")))
    await gate.reached()
    second = await gateway.get(blob(repository, LARGE, "other"))
    gate.open()
    return await leading, second


# --- a lie


async def test_a_claim_shows_nothing_that_an_account_brought(
    private: Registry, liar: Registry, gateways: Gateways
) -> None:
    gateway = await both(gateways, private, liar)
    mine = await gateway.get(blob("private/app", SECRET, "corp"))
    strangers = [
        await gateway.get(blob("evil/app", SECRET, "other"), **field) for field in ({}, {"Range": "bytes=0-9"})
    ]

    assert (200, SECRET) == (mine.status, mine.body)
    assert [404, 404] == [one.status for one in strangers]


async def test_nor_one_from_before_the_bytes_were_here(private: Registry, liar: Registry, gateways: Gateways) -> None:
    gateway = await both(gateways, private, liar)
    before = await gateway.get(blob("evil/app", SECRET, "other"))
    await gateway.get(blob("private/app", SECRET, "corp"))
    after = await gateway.get(blob("evil/app", SECRET, "other"))

    assert (404, 404) == (before.status, after.status)


@pytest.mark.parametrize("sent", [b"", b"wrong", some_bytes(len(SECRET), seed="wrong")], ids=len)
async def test_nor_the_beginning_of_an_answer(
    sent: bytes, private: Registry, liar: Registry, gateways: Gateways
) -> None:
    """To GET: there are none in it, or others, as many or fewer."""

    async def begins(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        if request.method == "HEAD":
            return await claims_all(request, honest)
        return await lies.honestly(request, Honest(200, sent))

    liar.on["blob"] = begins
    gateway = await both(gateways, private, liar)
    before = await gateway.get(blob("early/app", SECRET, "other"))
    mine = await gateway.get(blob("private/app", SECRET, "corp"))
    after = [await gateway.get(blob(name, SECRET, "other")) for name in ("early/app", "late/app", "late/app")]

    assert (200, SECRET) == (mine.status, mine.body)
    assert [502] * 4 == [one.status for one in (before, *after)]


async def test_nor_a_tag_that_points_there(private: Registry, liar: Registry, gateways: Gateways) -> None:
    pushed = private.push("private/app", "1", SECRET)

    async def points_there(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        if request.method == "HEAD" and request.path.endswith("/evil"):
            headers = {
                "Content-Type": IMAGE,
                "Docker-Content-Digest": digest(pushed),
                "Content-Length": str(len(pushed)),
            }
            return web.Response(status=200, headers=headers)
        return await claims_all(request, honest)

    liar.on["tag"] = points_there
    gateway = await both(gateways, private, liar)
    mine = await gateway.get("/v2/corp/private/app/manifests/1")
    await gateway.get(blob("private/app", SECRET, "corp"))
    by_tag = await gateway.get("/v2/other/evil/app/manifests/evil")
    by_digest = await gateway.get(f"/v2/other/evil/app/manifests/{digest(pushed)}")
    layer = await gateway.get(blob("evil/app", SECRET, "other"))

    assert 200 == mine.status
    assert [True] * 3 == [one.status in (404, 502) for one in (by_tag, by_digest, layer)]
    assert not any(content in one.body for one in (by_tag, by_digest, layer) for content in (pushed, SECRET))


async def test_nor_of_what_is_on_its_way(private: Registry, liar: Registry, gateways: Gateways) -> None:
    mine, stranger = await beside_corps_own(gateways, private, liar, "evil/app")

    assert (200, LARGE) == (mine.status, mine.body)
    assert 404 == stranger.status


@pytest.mark.parametrize(("changed", "status"), [(False, 200), (True, 404)])
async def test_nor_what_another_place_of_its_name_has_left(
    changed: bool, status: int, private: Registry, other: Registry, gateways: Gateways
) -> None:
    """All but the end of it, which may be known: a tar's are zeros."""
    private.on["GET blob"] = stopping_at((3 * MIB, None))
    gateway = await gateways.start({"corp": oci(private, **ACCOUNT)})
    broken = await gateway.get(blob("private/app", LARGE, "corp"))
    await gateway.at_rest()
    left = gateway.arrived()
    await gateway.close()

    async def sends_the_end(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        if request.method == "HEAD":
            return await claims_all(request, honest)
        return await (
            by_range(request, Honest(200, LARGE)) if "Range" in request.headers else lies.honestly(request, honest)
        )

    other.on["blob"] = private.on["GET blob"] = sends_the_end
    gateway = await gateways.start({"corp": oci(other if changed else private, **ACCOUNT)})
    answer = await gateway.get(blob("private/app", LARGE, "corp"))

    assert 502 == broken.status
    assert 0 < left < len(LARGE)
    assert (status, status == 200) == (answer.status, answer.body == LARGE)


async def test_nor_what_another_place_of_its_name_is_being_sent(
    private: Registry, liar: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another gateway of the cache, whose configuration is not ours."""
    monkeypatch.setattr("apprproxy.gateway.flights.guest.LOOK", 0.2)
    gate = Gate()
    private.on["GET blob"] = stopping_at((3 * MIB, gate))
    before = await gateways.start({"corp": oci(private, **ACCOUNT)})
    after = await gateways.start({"corp": oci(liar, **ACCOUNT)}, delivery={"patience": "0s"})
    leading = asyncio.create_task(before.get(blob("private/app", LARGE, "corp")))
    await gate.reached()
    shown = b""
    async with after.session.get(after.url + blob("private/app", LARGE, "corp")) as response:
        with suppress(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                shown += piece
    gate.open()

    assert shown[:64] != LARGE[:64]
    assert (200, LARGE) == ((await leading).status, (await leading).body)


# --- the truth


async def test_who_has_it_sends_it_once(private: Registry, other: Registry, gateways: Gateways) -> None:
    other.add_blob("library/app", SECRET)
    gateway = await both(gateways, private, other)
    await gateway.get(blob("private/app", SECRET, "corp"))
    together = await asyncio.gather(*(gateway.get(blob("library/app", SECRET, "other")) for _ in range(5)))
    await gateway.at_rest()
    await other.stop()
    await private.stop()
    later = await gateway.get(blob("library/app", SECRET, "other"))
    mine = await gateway.get(blob("private/app", SECRET, "corp"))

    assert {(200, SECRET)} == {(one.status, one.body) for one in (*together, later, mine)}
    assert (1, 1) == (private.count("GET blob"), other.count("GET blob"))
    assert [digest(SECRET)] == gateway.blobs
    assert [] == gateway.ingests


async def test_it_is_streamed_as_what_is_not_held(private: Registry, other: Registry, gateways: Gateways) -> None:
    other.add_blob("library/app", LARGE)
    gateway = await both(gateways, private, other, delivery={"patience": "0s"})
    await gateway.get(blob("private/app", LARGE, "corp"))
    gate = Gate()
    other.on["GET blob"] = stopping_at((3 * MIB, gate))
    response = await gateway.session.get(gateway.url + blob("library/app", LARGE, "other"))
    beginning = await response.content.readexactly(2 * MIB)
    gate.open()
    rest = await response.read()

    assert beginning + rest == LARGE


async def test_somebody_elses_transfer_is_not_waited_for(
    private: Registry, other: Registry, gateways: Gateways
) -> None:
    """Its bytes are not theirs to be shown."""
    other.add_blob("library/app", LARGE)
    answers = await beside_corps_own(gateways, private, other, "library/app")

    assert {(200, LARGE)} == {(one.status, one.body) for one in answers}
    assert (1, 1) == (private.count("GET blob"), other.count("GET blob"))


@pytest.mark.parametrize("name", ["the digest", "1.0"])
async def test_what_it_sent_meanwhile_is_shown_before_the_disk_has_it_and_named_after(
    name: str, private: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = private.push("private/app", "1.0", b"layer")
    other.push("library/app", "1.0", b"layer")
    leading_gate, may_sync, sync = Gate(), threading.Event(), os.fsync
    private.on["GET manifest"] = lies.waiting_for(leading_gate)
    gateway = await both(gateways, private, other)
    leading = asyncio.create_task(gateway.get(f"/v2/corp/private/app/manifests/{digest(manifest)}"))
    await leading_gate.reached()

    def slow_sync(fd: int) -> None:
        may_sync.wait(5)
        sync(fd)

    monkeypatch.setattr(os, "fsync", slow_sync)
    path = f"/v2/other/library/app/manifests/{digest(manifest) if name == 'the digest' else name}"
    asking = [asyncio.create_task(gateway.get(path))]
    await asyncio.wait(asking, timeout=0.2)
    asking.append(asyncio.create_task(gateway.get(path)))
    await asyncio.wait(asking, timeout=0.2)
    early = [one.done() for one in asking], await gateway.app.names.get("other", "tag library/app 1.0")
    may_sync.set()
    leading_gate.open()

    assert ([name == "the digest"] * 2, None) == early
    assert {(200, manifest)} == {(one.status, one.body) for one in await asyncio.gather(leading, *asking)}
    assert 1 == other.count("GET manifest")


async def test_after_a_transfer_that_might_have_been_everybodys_it_is_asked_for(
    private: Registry, other: Registry, gateways: Gateways
) -> None:
    """A view asks a public member first, which lacks it."""
    other.add_blob("library/app", LARGE)
    gate = stops(private)
    async with Registry() as public:
        upstreams = {"public": oci(public), "corp": oci(private, **ACCOUNT), "other": oci(other)}
        gateway = await gateways.start(upstreams, views={"default": ["public", "corp"]})
        leading = asyncio.create_task(gateway.get(f"/v2/private/app/blobs/{digest(LARGE)}"))
        await gate.reached()
        second = asyncio.create_task(gateway.get(blob("library/app", LARGE, "other")))
        await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
        gate.open()
        answers = await asyncio.gather(leading, second)

    assert {(200, LARGE)} == {(one.status, one.body) for one in answers}
    assert (1, 1) == (private.count("GET blob"), other.count("GET blob"))


async def test_what_its_own_upstream_is_sending_is_not_broken_off_for_what_it_may_not_see(
    private: Registry, other: Registry, gateways: Gateways
) -> None:
    """Another account's transfer, which did not wait for a slow one, is done before."""
    other.add_blob("library/app", LARGE)
    gate = Gate()
    private.on["GET blob"] = stopping_at((3 * MIB, gate))
    gateway = await gateways.start({"corp": oci(private, **ACCOUNT), "other": oci(other, **ACCOUNT)})
    slow = asyncio.create_task(gateway.get(blob("private/app", LARGE, "corp")))
    await gate.reached()
    quick = await gateway.get(blob("library/app", LARGE, "other"))
    gate.open()

    assert {(200, LARGE)} == {(one.status, one.body) for one in (quick, await slow)}
    assert (1, 1) == (private.count("GET blob"), other.count("GET blob"))


async def test_its_own_word_is_enough_where_it_sent_the_bytes(private: Registry, gateways: Gateways) -> None:
    private.add_blob("private/other", SECRET)
    gateway = await gateways.start({"corp": oci(private, **ACCOUNT)})
    await gateway.get(blob("private/app", SECRET, "corp"))
    answer = await gateway.get(blob("private/other", SECRET, "corp"))

    assert (200, SECRET) == (answer.status, answer.body)
    assert (1, 1) == (private.count("GET blob"), private.count("HEAD blob"))


@pytest.mark.parametrize("repository", ["private/other", "private/app"])
@pytest.mark.parametrize("leader", ["view", "corp"])
async def test_its_own_word_is_enough_for_what_it_is_sending(
    leader: str, repository: str, private: Registry, other: Registry, gateways: Gateways
) -> None:
    """To a view, or for another repository: as it comes, and without being asked for it again."""
    private.add_blob("private/other", LARGE)
    gate = Gate()
    private.on["GET blob"] = stopping_at((3 * MIB, gate))
    views = {"view": {"members": ["corp", "other"]}}
    gateway = await both(gateways, private, other, views=views, delivery={"patience": "0s"})
    leading = asyncio.create_task(gateway.get(blob("private/app", LARGE, leader)))
    await gate.reached()
    response = await gateway.session.get(gateway.url + blob(repository, LARGE, "corp"))
    beginning = await response.content.readexactly(2 * MIB)
    gate.open()
    rest = await response.read()

    assert LARGE == beginning + rest == (await leading).body
    assert 1 == private.count("GET blob")


async def test_a_part_of_what_it_is_sending_again_is_not_asked_for_beside_that(
    private: Registry, other: Registry, gateways: Gateways
) -> None:
    """What has arrived of a transfer that takes nothing from others counts as well."""
    content = some_bytes(18 * MIB, seed="far ahead")
    for one, repository in ((private, "private/app"), (other, "library/app")):
        one.add_blob(repository, content)
    gateway = await both(gateways, private, other)
    await gateway.get(blob("private/app", content, "corp"))
    gate = Gate()
    other.on["GET blob"] = lies.in_turn(stopping_at((17 * MIB, gate)), by_range)
    path = blob("library/app", content, "other")
    leading = asyncio.create_task(gateway.get(path))
    await gate.reached()
    await until(lambda: gateway.arrived() >= 16 * MIB)
    part = asyncio.create_task(gateway.get(path, Range=f"bytes={17 * MIB}-{len(content) - 1}"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1 or part.done())
    gate.open()

    assert (206, content[17 * MIB :]) == ((await part).status, (await part).body)
    assert content == (await leading).body
    assert 1 == other.count("GET blob")


async def test_its_word_is_enough_for_what_everybody_may_have(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """It came without an account: who knows the digest could have had it there."""
    registry.add_blob("library/app", SECRET)
    other.add_blob("library/app", SECRET)
    gateway = await gateways.start({"hub": registry, "other": oci(other, **ACCOUNT)})
    await gateway.get(blob("library/app", SECRET, "hub"))
    answer = await gateway.get(blob("library/app", SECRET, "other"))

    assert (200, SECRET) == (answer.status, answer.body)
    assert 0 == other.count("GET blob")


@pytest.mark.parametrize(("denied", "asked"), [([], 0), (["library/*"], 1)])
async def test_so_it_is_for_what_came_before_its_upstream_was_given_an_account(
    denied: list[str], asked: int, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Whoever logs in to a registry for its limits does not transfer all that is held once more."""
    for one, repository in ((registry, "library/app"), (registry, "team/app"), (other, "library/app")):
        one.add_blob(repository, SECRET)
    gateway = await gateways.start({"hub": registry, "other": other})
    await gateway.get(blob("library/app", SECRET, "hub"))
    await gateway.at_rest()
    await gateway.close()
    gateway = await gateways.start({"hub": oci(registry, **ACCOUNT, deny=denied), "other": other})
    seen = [await gateway.get(blob(*each)) for each in (("team/app", SECRET, "hub"), ("library/app", SECRET, "other"))]

    assert {(200, SECRET)} == {(one.status, one.body) for one in seen}
    assert asked == registry.count("GET blob") - 1


async def test_so_it_is_for_what_came_from_where_its_upstream_was_before(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """A public one that has moved to another URL."""
    for one in (registry, other):
        one.add_blob("library/app", SECRET)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(blob("library/app", SECRET, "hub"))
    await gateway.at_rest()
    await gateway.close()
    gateway = await gateways.start({"hub": other})
    answer = await gateway.get(blob("library/app", SECRET, "hub"))

    assert (200, SECRET) == (answer.status, answer.body)
    assert (1, 0) == (other.count("HEAD blob"), other.count("GET blob"))


@pytest.mark.parametrize("removed", [False, True])
async def test_but_not_for_what_is_denied_by_now_or_of_an_upstream_that_was_removed(
    removed: bool, registry: Registry, liar: Registry, gateways: Gateways
) -> None:
    registry.add_blob("internal/app", SECRET)
    gateway = await gateways.start({"hub": registry, "other": liar})
    before = await gateway.get(blob("internal/app", SECRET, "hub"))
    await gateway.at_rest()
    await gateway.close()
    hub = {} if removed else {"hub": oci(registry, deny=["internal/*"])}
    gateway = await gateways.start({**hub, "other": liar})
    after = await gateway.get(blob("evil/app", SECRET, "other"))

    assert (200, 404) == (before.status, after.status)


@pytest.mark.parametrize("after", [10, 3600, 6 * 86_400])
async def test_what_one_account_was_told_to_be_there_opens_no_mirror_for_another(
    after: int, private: Registry, other: Registry, gateways: Gateways
) -> None:
    other.add_blob("private/app", SECRET)
    gateway = await gateways.start({"corp": oci(private, **ACCOUNT)})
    told = await gateway.head(blob("private/app", SECRET, "corp"))
    await gateway.close()
    gateways.clock.advance(after)
    for asked in ("tag", "manifest", "blob"):
        private.on[asked] = lies.says(401)
    eve = {"auth": {"username": "eve", "password": "s3cret", "share": True}}
    gateway = await gateways.start({"corp": oci(private, **eve, mirrors=[{"url": other.url}])})
    answers = [await gateway.get(blob("private/app", SECRET, "corp")) for _ in range(3)]

    assert 200 == told.status
    assert {answer.status for answer in answers} <= {502, 503}
    assert 0 == other.count("GET blob")
