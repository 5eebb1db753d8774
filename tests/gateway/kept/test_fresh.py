"""Serve what is remembered, or ask?"""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.model import Cache, Descriptor, Record, Terms
from apprproxy.gateway.kept.fresh import AGAIN_AFTER, Ask, Serve, decide, stale

NOW = 1_800_000_000.0
TERMS = Terms(fresh_for=60.0, stale_for=3600.0)
AGES = st.floats(0, 10_000)


def record(age: float) -> Record:
    return Record(Descriptor(Digest.of(b"x"), 1, ""), "hub", checked=NOW - age, since=NOW - age)


@given(st.booleans(), st.booleans())
def test_what_nobody_remembers_is_asked_for(again: bool, offline: bool) -> None:
    assert Ask(may_serve=False) == decide(None, TERMS, NOW, again=again, offline=offline)


@given(AGES)
def test_what_is_fresh_is_served_and_no_longer(age: float) -> None:
    decision = decide(record(age), TERMS, NOW, again=False, offline=False)

    assert (age < 60) == isinstance(decision, Serve)


@given(AGES)
def test_what_is_too_old_may_not_stand_in(age: float) -> None:
    decision = decide(record(age), TERMS, NOW, again=True, offline=False)

    assert isinstance(decision, Serve) if age < AGAIN_AFTER else Ask(may_serve=age < 3660) == decision


@given(AGES, st.booleans())
def test_what_was_accepted_meanwhile_is_asked_for_however_young_it_is(age: float, again: bool) -> None:
    """Also by a client that says no-cache twice in a second, who was given what was there before."""
    doubtful = replace(record(age), doubtful=True)

    assert Ask(may_serve=age < 3660) == decide(doubtful, TERMS, NOW, again=again, offline=False)


@given(st.floats(0, 1e9), st.booleans())
def test_offline_everything_is_served(age: float, again: bool) -> None:
    assert isinstance(decide(record(age), TERMS, NOW, again=again, offline=True), Serve)


@given(AGES)
def test_a_record_from_the_future_grows_old_too(age: float) -> None:
    assert decide(record(age), TERMS, NOW, again=False, offline=False) == decide(
        record(-age), TERMS, NOW, again=False, offline=False
    )


def test_a_stale_answer_says_how_long_it_has_been() -> None:
    verdict = stale(record(90), TERMS, NOW, detail="stale-if-error", status=503)

    assert (Cache.STALE, 90.0, -30.0, 503) == (verdict.cache, verdict.age, verdict.ttl, verdict.status)


def test_a_doubtful_answer_is_not_told_as_fresh_however_young_it_is() -> None:
    verdict = stale(replace(record(1), doubtful=True), TERMS, NOW, detail="refreshing")

    assert (Cache.STALE, 1.0, 0.0) == (verdict.cache, verdict.age, verdict.ttl)
