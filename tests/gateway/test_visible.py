"""Bytes are shared, who may see them is not: it is decided before anything is found or joined."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected, Where
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import INDEX, digest, manifest, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry

MIB = 1024 * 1024
SECRET = some_bytes(300_000, seed="secret")
LARGE = some_bytes(4 * MIB, seed="large secret")
WANTED = digest(SECRET)


def blob(repository: str, content: bytes = SECRET, upstream: str = "hub") -> str:
    return f"/v2/{upstream}/{repository}/blobs/{digest(content)}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_held_through_one_repository_is_not_there_in_another(
    registry: Registry, gateways: Gateways, method: str
) -> None:
    registry.add_blob("private/app", SECRET)
    gateway = await gateways.start({"hub": registry})
    mine = await gateway.get(blob("private/app"))
    stranger = await gateway.ask(method, blob("evil/app"))
    again = await gateway.ask(method, blob("evil/app"), Range="bytes=0-0")

    assert (200, SECRET) == (mine.status, mine.body)
    assert (404, 404) == (stranger.status, again.status)


async def test_a_manifest_by_digest_is_held_to_the_same_rule(registry: Registry, gateways: Gateways) -> None:
    pushed = registry.push("private/app", "1", SECRET)
    gateway = await gateways.start({"hub": registry})
    mine = await gateway.get(f"/v2/hub/private/app/manifests/{digest(pushed)}")
    by_tag = await gateway.get("/v2/hub/private/app/manifests/1")
    stranger = await gateway.get(f"/v2/hub/evil/app/manifests/{digest(pushed)}")
    as_blob = await gateway.get(f"/v2/hub/evil/app/blobs/{digest(pushed)}")

    assert (200, 200) == (mine.status, by_tag.status)
    assert (404, 404) == (stranger.status, as_blob.status)


async def test_a_strangers_manifest_that_names_a_private_digest_opens_nothing(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Published at another upstream: there is no proof that the bytes are theirs to show."""
    registry.add_blob("private/app", SECRET)
    evil = other.add_manifest("evil/app", manifest(SECRET), tag="1")
    gateway = await gateways.start({"hub": registry, "evil": other})
    await gateway.get(blob("private/app"))
    named = await gateway.get("/v2/evil/evil/app/manifests/1")
    answers = [
        await gateway.ask(method, blob("evil/app", upstream="evil"), **fields)
        for method in ("GET", "HEAD")
        for fields in ({}, {"Range": "bytes=0-9"})
    ]

    assert (200, evil) == (named.status, named.headers["Docker-Content-Digest"])
    assert {404} == {answer.status for answer in answers}


async def test_a_strangers_index_does_not_open_a_private_manifest(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    private = registry.push("private/app", "1", SECRET)
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{"mediaType": INDEX, "digest": digest(private), "size": len(private)}],
    }
    other.add_manifest("evil/app", json.dumps(index).encode(), tag="1")
    gateway = await gateways.start({"hub": registry, "evil": other})
    await gateway.get("/v2/hub/private/app/manifests/1")
    await gateway.get(blob("private/app"))
    await gateway.get("/v2/evil/evil/app/manifests/1")
    manifest_answer = await gateway.get(f"/v2/evil/evil/app/manifests/{digest(private)}")
    blob_answer = await gateway.get(blob("evil/app", upstream="evil"))

    assert (404, 404) == (manifest_answer.status, blob_answer.status)


async def test_a_manifest_alone_proves_nothing_while_the_bytes_are_not_here(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_manifest("evil/app", manifest(SECRET), tag="1")
    registry.add_blob("private/app", SECRET)
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/evil/app/manifests/1")

    assert 404 == (await gateway.get(blob("evil/app"))).status


async def test_the_owners_word_is_asked_for_once(registry: Registry, gateways: Gateways) -> None:
    for repository in ("library/app", "library/other"):
        registry.add_blob(repository, SECRET)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(blob("library/app"))
    answers = [await gateway.get(blob("library/other")) for _ in range(3)]
    gateways.clock.advance(1e6)
    await registry.stop()
    later = await gateway.get(blob("library/other"))

    assert {(200, SECRET)} == {(answer.status, answer.body) for answer in [*answers, later]}
    assert (1, 1) == (registry.count("GET blob"), registry.count("HEAD blob"))


OUTAGES = {
    "503": lies.says(503),
    "hanging up": lies.hangs_up,
    "a page with 404": lies.page(404),
    "a page with 200": lies.page(200),
    "a word on something else": lies.says(200, b"{}", Docker_Content_Digest=digest(b"{}")),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
async def test_while_the_owner_is_away_what_is_not_known_is_not_shown(
    registry: Registry, gateways: Gateways, outage: lies.Behaviour
) -> None:
    registry.add_blob("private/app", SECRET)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(blob("private/app"))
    registry.on["blob"] = outage
    stranger = await gateway.get(blob("evil/app"))
    mine = await gateway.get(blob("private/app"))

    assert stranger.status in (502, 503, 504)
    assert SECRET not in stranger.body
    assert (200, SECRET) == (mine.status, mine.body)


async def offline_with_the_secret(registry: Registry, gateways: Gateways) -> Running:
    """It is held because of private/app."""
    registry.add_blob("private/app", SECRET)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(blob("private/app"))
    await gateway.at_rest()
    await gateway.close()
    return await gateways.start({"hub": registry}, offline=True)


async def test_offline_what_is_not_known_is_not_shown(registry: Registry, gateways: Gateways) -> None:
    offline = await offline_with_the_secret(registry, gateways)
    asked = registry.count()

    assert 504 == (await offline.get(blob("evil/app"))).status
    assert asked == registry.count()


async def test_offline_what_is_not_known_is_told_as_what_is_not_held(registry: Registry, gateways: Gateways) -> None:
    """Who asks for it learns nothing of what others have here."""
    offline = await offline_with_the_secret(registry, gateways)
    private = await offline.get(blob("evil/app"))
    nobodys = await offline.get(blob("evil/app", b"held by nobody"))

    assert private.message.replace(WANTED, "") == nobodys.message.replace(digest(b"held by nobody"), "")


async def test_a_view_asks_its_members_in_order(registry: Registry, other: Registry, gateways: Gateways) -> None:
    other.add_blob("library/app", SECRET)
    upstreams = {"one": registry, "two": other}
    gateway = await gateways.start(upstreams, views={"default": ["one", "two"]})
    cold = await gateway.get(f"/v2/library/app/blobs/{WANTED}")
    warm = await gateway.get(f"/v2/library/app/blobs/{WANTED}")
    elsewhere = await gateway.get(f"/v2/one/library/app/blobs/{WANTED}")

    assert [(200, "two")] * 2 == [(one.status, one.headers["Apprproxy-Upstream"]) for one in (cold, warm)]
    assert 1 == other.count()
    assert 404 == elsewhere.status


# --- on their way


async def test_who_joins_from_another_repository_is_checked_first(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("private/app", LARGE)
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate)), by_range)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    leading = await gateway.session.get(gateway.url + blob("private/app", LARGE))
    await leading.content.readexactly(MIB)
    stranger = await gateway.get(blob("evil/app", LARGE))
    gate.open()
    body = await leading.read()

    assert 404 == stranger.status
    assert LARGE[MIB:] == body
    assert 1 == sum("private" in one.target for one in registry.seen)


async def test_who_came_at_the_same_moment_is_given_nothing_of_a_transfer_that_broke_off(
    registry: Registry, gateways: Gateways
) -> None:
    """Both are asked about when nothing is held. The owner of the second has not said a word when the first breaks
    off, and what has arrived used to be streamed to it as if it had."""
    registry.add_blob("private/app", LARGE)
    first, gate, second = Gate(), Gate(), Gate()
    registry.on["GET blob"] = lies.in_turn(
        stopping_at((0, first), (3 * MIB, gate), (3 * MIB, None)), lies.page(500), lies.waiting_for(second)
    )
    registry.on["HEAD blob"] = lies.waiting_for(Gate())
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    known = registry.add_manifest("evil/app", manifest(LARGE))
    await gateway.get(f"/v2/hub/evil/app/manifests/{known}")  # so that the size is known, and headers go out
    index, delayed = gateway.app.gateway._blobs._shelf.index, Gate()
    stated = index.stated_size

    async def slowly(where: Where, key: str) -> int | None:
        if "evil" in str(where):
            await delayed()
        return await stated(where, key)

    index.stated_size = slowly  # type: ignore[method-assign]  # between its look at what is held, and its joining
    evil = asyncio.create_task(gateway.session.get(gateway.url + blob("evil/app", LARGE)))
    await delayed.reached()
    asking = asyncio.create_task(gateway.session.get(gateway.url + blob("private/app", LARGE)))
    await first.reached()
    first.open()
    leading = await asking
    delayed.open()
    response = await evil
    gate.open()
    await second.reached()
    await until(lambda: gateway.metric("apprproxy_requests_total", status="broken-off") == 1)  # the leader's
    second.open()
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.read()
    leading.close()

    assert 0 == response.content.total_bytes


async def test_a_blob_that_turns_up_meanwhile_is_confirmed_before_it_is_given(
    registry: Registry, gateways: Gateways
) -> None:
    """The one in whose name it is asked says no; the bytes are landed by the other."""
    registry.add_blob("private/app", SECRET)
    slow, gate = Gate(), Gate()
    registry.on["GET blob"] = lies.in_turn(lies.waiting_for(slow), lies.waiting_for(gate), lies.honestly)
    gateway = await gateways.start({"hub": registry})
    evil = asyncio.create_task(gateway.get(blob("evil/app")))
    await slow.reached()
    mine = asyncio.create_task(gateway.get(blob("private/app")))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    slow.open()
    gate.open()

    assert 404 == (await evil).status
    assert (200, SECRET) == ((await mine).status, (await mine).body)


# --- whole already


@pytest.mark.parametrize("apart", [False, True], ids=["in the shared file", "in a file of its upstream's own"])
async def test_what_was_left_whole_is_not_shown_to_a_repository_that_lacks_it(
    registry: Registry, gateways: Gateways, apart: bool
) -> None:
    """By a gateway that was killed between the last byte and its commit, which may take as long as the disk's sync."""
    registry.add_blob("private/app", SECRET)
    evil = registry.add_manifest("evil/app", manifest(SECRET))
    gateway = await gateways.start({"hub": registry})
    partial = (await gateway.app.disk.claim(Expected(Digest.of(SECRET)), "hub", apart=apart)).partial
    assert partial is not None
    await partial.begins("hub", "owner", len(SECRET))
    await partial.write(SECRET)
    await partial.leave(keep=True)
    named = await gateway.get(f"/v2/hub/evil/app/manifests/{evil}")
    stranger = await gateway.get(blob("evil/app"))
    await gateway.at_rest()
    again = await gateway.get(blob("evil/app"))
    mine = await gateway.get(blob("private/app"))

    assert (200, 404, 404) == (named.status, stranger.status, again.status)
    assert (200, SECRET) == (mine.status, mine.body)


async def test_what_broke_off_behind_its_last_byte_is_not_shown_to_a_repository_that_lacks_it(
    registry: Registry, gateways: Gateways
) -> None:
    """Both wait for the same transfer, which was begun in the name of the one that lacks it."""
    small = some_bytes(1000)
    registry.add_blob("library/app", small)
    registry.add_blob("private/app", SECRET)
    evil = registry.add_manifest("evil/app", manifest(SECRET))
    first = Gate()

    async def without_an_end(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        if honest.body == small:
            await first()
        if honest.status != 200 or honest.body != SECRET:
            return await lies.honestly(request, honest)
        response = web.StreamResponse(headers=honest.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(SECRET)
        assert request.transport is not None
        await asyncio.sleep(0.1)
        request.transport.close()
        return response

    registry.on["GET blob"] = without_an_end
    gateway = await gateways.start({"hub": oci(registry, connections=1)})
    await gateway.get(f"/v2/hub/evil/app/manifests/{evil}")
    busy = asyncio.create_task(gateway.get(blob("library/app", small)))
    await first.reached()
    stranger = asyncio.create_task(gateway.get(blob("evil/app")))
    await until(lambda: gateway.metric("apprproxy_flights_waiting") == 1)
    mine = asyncio.create_task(gateway.get(blob("private/app")))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    first.open()
    _, _, answer = await asyncio.gather(busy, mine, stranger)

    assert 404 == answer.status
