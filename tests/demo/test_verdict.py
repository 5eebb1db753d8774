"""Whatever is not as it should be is said, and decides the exit status."""

import pytest

from apprproxy.demo.answer import Answer, Source
from apprproxy.demo.tour import Findings, Round, Row
from apprproxy.demo.verdict import complaints

RECEIVED = {Round.FIRST: 9, Round.AGAIN: 1, Round.STOPPED: 0}


def answer(source: Source, *, status: int = 200, verified: bool | None = True) -> Answer:
    return Answer("layer", status, source, verified, "because")


def trusted(first: Answer, again: Answer, stopped: Answer) -> Row:
    return Row("hub", "it", {Round.FIRST: [first], Round.AGAIN: [again], Round.STOPPED: [stopped]})


FETCHED, CACHE, STALE = answer(Source.FETCHED), answer(Source.CACHE), answer(Source.STALE)
LIE = Answer("layer", 502, None, None, "liar: sent bytes …")


def test_nothing_is_said_where_all_is_well() -> None:
    rows = [trusted(FETCHED, CACHE, STALE), Row("liar", "it", {Round.FIRST: [FETCHED, LIE]}, caught=1)]

    assert [] == complaints(Findings(rows, RECEIVED, {"hub": 0, "liar": 1}))


@pytest.mark.parametrize(
    "row",
    [
        trusted(CACHE, CACHE, CACHE),
        trusted(FETCHED, FETCHED, CACHE),
        trusted(FETCHED, CACHE, answer(Source.CONFIRMED)),
        trusted(FETCHED, CACHE, answer(Source.STALE, status=502)),
        trusted(answer(Source.FETCHED, verified=False), CACHE, CACHE),
        Row("liar", "it", {Round.FIRST: [FETCHED]}),
        Row("liar", "it", {Round.FIRST: [LIE]}, caught=0),
        Row("liar", "it", {Round.FIRST: [LIE, answer(Source.FETCHED, verified=False)]}, caught=1),
    ],
    ids=[
        "held at first",
        "fetched again",
        "asked though stopped",
        "failed",
        "wrong bytes",
        "no lie",
        "a failure that was no lie",
        "a lie passed on",
    ],
)
def test_what_is_not_as_it_should_be_is_said(row: Row) -> None:
    assert 1 == len(complaints(Findings([row], RECEIVED)))


def test_bytes_from_upstreams_that_are_stopped_are_said() -> None:
    assert complaints(Findings([], {**RECEIVED, Round.STOPPED: 1}))


def test_a_trusted_upstream_that_lied_is_said() -> None:
    assert complaints(Findings([], RECEIVED, {"hub": 1, "liar": 3}))
