"""Bytes by digest come from mirrors in their order, then from the owner; names come from the owner alone."""

from dataclasses import replace

import pytest

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.lies import Behaviour
from tests.fakes.ranged import stopping_at
from tests.gateway.mirrors import APP, BLOB, HALF, TAG, mirrored
from tests.store.cap import Boundless


async def test_mirrors_are_asked_in_order_and_then_the_owner(gateways: Gateways) -> None:
    async with mirrored(gateways, 2) as case:
        first = (await case.pull(), case.asked())
        case.mirrors[0].on["blob"] = lies.says(404)
        await case.forget()
        second = (await case.pull(), case.asked())
        case.mirrors[1].on["blob"] = lies.says(404)
        await case.forget()
        third = (await case.pull(), case.asked())

    assert [BLOB] * 3 == [first[0].body, second[0].body, third[0].body]
    assert [[1, 0, 0], [2, 1, 0], [3, 2, 1]] == [first[1], second[1], third[1]]


async def test_a_mirror_is_never_asked_for_a_name(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        answers = [await case.gateway.get(path) for path in (TAG, f"/v2/hub/{APP}/tags/list")]
        wanted = digest(case.manifest)
        answers.append(await case.gateway.get(f"/v2/hub/{APP}/referrers/{wanted}"))
        asked = {(one.method, one.kind) for one in case.mirrors[0].seen}

    assert [200] * 3 == [answer.status for answer in answers]
    assert {("GET", "manifest")} == asked


async def test_a_manifest_comes_by_its_digest_from_a_mirror(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        got = await case.gateway.get(TAG)
        owner = case.owner.count("GET manifest") + case.owner.count("GET tag")

    assert (200, case.manifest) == (got.status, got.body)
    assert (1, 0) == (case.mirrors[0].count("GET manifest"), owner)


async def test_a_mirrors_wrong_manifest_is_passed_over(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        case.mirrors[0].on["manifest"] = lies.says(200, some_bytes(500))
        got = await case.gateway.get(TAG)
        await case.pull()

    assert (200, case.manifest) == (got.status, got.body)
    assert 0 == case.asked()[0]


async def test_what_a_mirror_broke_off_is_continued_at_the_owner_from_the_byte_reached(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        got = await case.pull_through(gate)
        [span] = case.ranges()
        reached = int(span.removeprefix("bytes=").removesuffix("-"))

        assert (200, BLOB) == (got.status, got.body)
        assert HALF // 2 < reached <= HALF
        assert (reached, len(BLOB) - reached) == (HALF, case.received("owner"))


async def test_a_transfer_goes_through_every_source(gateways: Gateways) -> None:
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, None))
        case.mirrors[1].on["blob"] = stopping_at((2 * HALF, None))
        got = await case.pull()

        assert BLOB == got.body
        assert [1, 1, 1] == case.asked()
        assert [False, False] == [case.available(1), case.available(2)]


async def test_a_source_without_ranges_sends_all_and_what_is_held_is_skipped(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = lies.honestly
        got = await case.pull_through(gate)

        assert BLOB == got.body
        assert [1, 1, 0] == case.asked()
        assert case.available(2)


async def test_the_owners_credential_reaches_no_mirror_even_when_it_continues(
    gateways: Gateways,
) -> None:
    gate = Gate()
    account = {"username": "bot", "password": "s3cret"}
    challenge = lies.says(401, b"{}", WWW_Authenticate='Basic realm="mirror"')
    async with mirrored(gateways, 2, auth=account) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = challenge
        got = await case.pull_through(gate)
        fields = {name for one in case.mirrors for seen in one.seen for name in seen.headers}

        assert BLOB == got.body
        assert [1, 1, 1] == case.asked()
        assert "authorization" not in fields


async def test_a_mirror_never_tells_the_size_the_owner_does(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        got = await case.pull()
        sent = [f"{one.method} {one.kind}" for one in case.owner.seen]

        assert BLOB == got.body
        assert (["HEAD blob"], [1, 0]) == (sent, case.asked())


async def test_no_room_is_made_for_a_size_that_only_a_mirror_tells(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        disk, cap = case.gateway.app.disk, Boundless()
        disk._yard = replace(disk._yard, cap=cap)
        await case.owner.stop()
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert {None} == {due for verb, due in cap.asked if verb == "reserve"}


async def test_with_the_owner_away_a_mirror_still_serves_what_a_held_manifest_names(gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        await case.owner.stop()
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert 1 == case.asked()[0]


async def test_a_mirrors_no_is_nobodys_word_while_the_owner_is_away(gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.says(404)
        await case.owner.stop()
        got = await case.pull()

    assert (502, "UNAVAILABLE") == (got.status, got.code)


async def test_the_owners_no_is_told_although_a_mirror_failed(gateways: Gateways) -> None:
    missing = f"/v2/hub/{APP}/blobs/{digest(b'missing')}"
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.says(500)
        got = await case.gateway.get(missing)

    assert (404, "BLOB_UNKNOWN") == (got.status, got.code)


async def test_what_the_owner_says_it_lacks_there_no_mirror_opens(gateways: Gateways) -> None:
    private = some_bytes(1000, seed="private")
    async with mirrored(gateways) as case:
        case.mirrors[0].add_blob(APP, private)
        got = await case.gateway.get(f"/v2/hub/{APP}/blobs/{digest(private)}")

    assert (404, "BLOB_UNKNOWN") == (got.status, got.code)


FAILING: dict[str, Behaviour] = {
    "away": lies.page(503),
    "hangs up": lies.hangs_up,
    "breaks off": stopping_at((HALF, None)),
    "lies": lies.says(200, bytes(len(BLOB))),
    "ends with its line": lies.until_it_ends(BLOB[:HALF]),
}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("mirror", FAILING.values(), ids=FAILING.keys())
async def test_a_mirror_that_failed_keeps_no_file_open(mirror: Behaviour, gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = mirror
        got = await case.pull()
        await case.gateway.at_rest()

        assert BLOB == got.body
        await until(lambda: not case.gateway.open_files)
