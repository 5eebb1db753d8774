"""A mirror that lies is passed over invisibly and distrusted for an hour, then two; nobody else is blamed for it."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways
from tests.fakes.lies import Behaviour
from tests.fakes.ranged import by_range, lying_by_range, stopping_at
from tests.gateway.mirrors import APP, BLOB, HALF, OTHER, Case, mirrored

HOUR = 3600.0
SPOILT = b"?" + BLOB[1:]
SPOILT_END = BLOB[:-1] + b"?"
SMALL = some_bytes(1000)

LIES: Mapping[str, Behaviour] = {
    "wrong bytes": lies.says(200, SPOILT),
    "a longer length": lies.says(200, BLOB + b"!"),
    "a shorter length": lies.says(200, BLOB[:-1]),
    "a page": lies.page(200),
    "endless": lies.endless(),
    "too little": lies.chunked(BLOB[:-1]),
    "another digest": lies.says(200, OTHER),
    "nothing": lies.says(200, b""),
}


def mismatched(case: Case, source: str) -> float:
    return case.gateway.metric("apprproxy_digest_mismatches_total", source=source)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lying_mirror_is_passed_over_and_distrusted(gateways: Gateways, lie: Behaviour) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lie
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert ([1, 1], [""]) == (case.asked(), case.ranges())
        assert not case.available()
        assert 4 * len(BLOB) > case.received("mirror-1")


async def test_a_manifest_that_states_a_wrong_size_costs_no_honest_mirror_its_trust(gateways: Gateways) -> None:
    async with mirrored(gateways, stated=False) as case:
        wrong = json.loads(case.manifest)
        wrong["layers"][0]["size"] += 1
        stranger = case.owner.add_manifest(APP, json.dumps(wrong).encode())
        await case.gateway.get(f"/v2/hub/{APP}/manifests/{stranger}")
        got = await case.pull()

        assert 502 == got.status
        assert case.available()


async def test_distrust_lasts_an_hour_and_doubles(gateways: Gateways) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.says(200, OTHER)
        asked = []
        for wait in (0.0, HOUR - 1, 2.0, HOUR, HOUR - 2.0, 3.0):
            gateways.clock.advance(wait)
            await case.forget()
            assert BLOB == (await case.pull()).body
            asked.append(case.asked()[0])
        case.mirrors[0].on["blob"] = by_range
        gateways.clock.advance(4 * HOUR)
        await case.forget()
        await case.pull()

        assert [1, 1, 2, 2, 2, 3] == asked
        assert ([4, 6], True) == (case.asked(), case.available())


async def test_one_part_of_another_range_is_not_taken(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = lying_by_range(start=1)
        got = await case.pull_through(gate)

        assert BLOB == got.body
        assert [1, 1, 1] == case.asked()
        assert case.ranges()[0].startswith("bytes=")
        assert not case.available(2)


async def test_a_mirror_whose_half_was_wrong_is_distrusted_once_the_owners_whole_is_right(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None), body=SPOILT)
        got = await case.pull_through(gate)
        gateways.clock.advance(HOUR - 1)
        await case.forget()
        await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert ["", ""] == case.ranges()[1:]
        assert [1, 3] == case.asked()
        assert not case.available()


async def test_a_mixture_costs_the_mirror_that_sent_the_wrong_part_of_it_and_no_other(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = stopping_at(body=SPOILT_END)
        got = await case.pull_through(gate)

        assert BLOB == got.body
        assert ([1, 1, 1], [""]) == (case.asked(), case.ranges())
        assert [0, 1] == [mismatched(case, "mirror-1"), mismatched(case, "mirror-2")]


async def test_a_mixture_is_the_owners_to_judge_whatever_other_mirrors_there_are(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 3) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None), body=SPOILT)
        got = await case.pull_through(gate)

        assert (200, BLOB) == (got.status, got.body)
        assert [1, 1, 0, 1] == case.asked()
        assert [False, True, True] == [case.available(number) for number in (1, 2, 3)]


async def test_a_mixture_is_counted_against_the_mirror_and_not_against_who_sent_the_end_of_it(
    gateways: Gateways,
) -> None:
    gate = Gate()
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None), body=SPOILT)
        await case.pull_through(gate)

        assert (0, 1) == (mismatched(case, "owner"), mismatched(case, "mirror-1"))


async def test_with_the_owner_away_another_mirror_still_serves(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 3) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None), body=SPOILT)
        await case.owner.stop()
        got = await case.pull_through(gate)

        assert (200, BLOB) == (got.status, got.body)
        assert 0 == mismatched(case, "owner")


async def test_with_the_owner_away_nobody_is_blamed_for_a_mixture(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = stopping_at(body=SPOILT_END)
        await case.owner.stop()
        failed = await case.pull_through(gate)
        gateways.clock.advance(2)
        case.mirrors[0].on["blob"] = by_range
        again = await case.pull()

        assert 502 == failed.status
        assert ([], (200, BLOB)) == (case.gateway.ingests, (again.status, again.body))
        assert [2, 1] == case.asked()[:2]


async def test_who_sends_too_much_is_blamed_for_it_and_who_had_begun_is_not(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None))
        case.mirrors[1].on["blob"] = lies.endless()
        got = await case.pull_through(gate)
        gateways.clock.advance(2)
        for one in case.mirrors:
            one.on["blob"] = by_range
        await case.forget()
        await case.pull()

        assert BLOB == got.body
        assert [2, 1, 1] == case.asked()
        assert (True, False) == (case.available(1), case.available(2))


async def test_a_mirror_that_was_not_asked_is_not_blamed_for_what_was_spoilt_on_the_disk(gateways: Gateways) -> None:
    gate = Gate()
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = lies.says(404)
        case.owner.on["GET blob"] = stopping_at((len(BLOB) - 1, gate))
        pulling = asyncio.create_task(case.gateway.get(case.path))
        await until(lambda: case.arrived() > 0)
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
        await case.gateway.close()
        [part] = [path for path in case.gateway.ingests if path.suffix == ".part"]
        part.write_bytes(SPOILT)
        for one in (case.owner, *case.mirrors):
            one.on = {"blob": by_range}
        after = await case.again(gateways)
        got = await after.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert after.available()


def refused(logged: Logged) -> list[tuple[str, str, str, str | None]]:
    """Of each line that says so: how bad, whose bytes, where, and who is asked instead."""
    told = [line for line in map(json.loads, logged.text.splitlines()) if line["event"] == "wrong bytes refused"]
    return [(line["level"], line["source"], line["repository"], line.get("instead")) for line in told]


async def test_wrong_bytes_are_told_with_where_and_with_who_is_asked_instead(
    gateways: Gateways, logged: Logged
) -> None:
    async with mirrored(gateways, 2) as case:
        case.mirrors[0].on["blob"] = lies.says(200, SPOILT)
        await case.pull()

        assert [("warning", "mirror-1", APP, "hub mirror-2")] == refused(logged)


async def test_those_of_a_mixture_with_who_sent_the_right_ones(gateways: Gateways, logged: Logged) -> None:
    gate = Gate()
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = stopping_at((HALF, gate), (HALF, None), body=SPOILT)
        await case.pull_through(gate)

        assert [("warning", "mirror-1", APP, "hub")] == refused(logged)


async def test_those_that_nobody_makes_good_are_an_error(gateways: Gateways, logged: Logged) -> None:
    async with mirrored(gateways) as case:
        await case.mirrors[0].stop()
        case.owner.on["blob"] = lies.says(200, SPOILT)
        got = await case.pull()

        assert 502 == got.status
        assert [("error", "owner", APP, None)] == refused(logged)
