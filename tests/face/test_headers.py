"""What an answer says of how it came about, and whether the client has it already."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.model import Cache, Verdict
from apprproxy.face.headers import about, again, cache_status, etag, matches, passed_by

TAG = etag(Digest.of(b"x"))


@pytest.mark.parametrize(
    ("verdict", "field"),
    [
        (Verdict(Cache.HIT), "hit"),
        (Verdict(Cache.HIT, age=1.5, ttl=58.5), "hit; ttl=58"),
        (Verdict(Cache.MISS, stored=True), "fwd=uri-miss; stored"),
        (Verdict(Cache.COLLAPSED, stored=True), "fwd=uri-miss; collapsed"),
        (Verdict(Cache.REVALIDATED, status=304, stored=True), "fwd=stale; fwd-status=304; stored"),
        (Verdict(Cache.STALE, ttl=-30.0, detail="refreshing"), "hit; ttl=-30"),
        (Verdict(Cache.STALE, status=503, detail="stale-if-error"), "fwd=stale; fwd-status=503; detail=stale-if-error"),
        (Verdict(Cache.BYPASS), "fwd=bypass"),
    ],
)
def test_cache_status_says_how_it_came_about(verdict: Verdict, field: str) -> None:
    assert f"apprproxy; {field}" == cache_status(verdict)


def test_an_answer_on_content_says_whose_it_is_and_how_old() -> None:
    fields = about(Verdict(Cache.HIT, age=61.9, ttl=1), "hub", "no-cache")

    assert ("hub", "61", "no-cache") == (fields["Apprproxy-Upstream"], fields["Age"], fields["Cache-Control"])
    assert not {"Age", "Apprproxy-Upstream"} & set(about(Verdict(Cache.HIT), "", "immutable"))


@pytest.mark.parametrize("field", [TAG, f"W/{TAG}", f'"other", {TAG}', "*", f' "a,b" ,W/{TAG} '])
def test_what_the_client_has_is_recognised(field: str) -> None:
    assert matches(field, TAG)


@pytest.mark.parametrize("field", [None, "", '"other"', TAG.strip('"'), '"*"'])
def test_what_the_client_has_not_is_not(field: str | None) -> None:
    assert not matches(field, TAG)


@pytest.mark.parametrize("control", ["no-cache", "No-Cache", "max-age=0", "private, no-cache , x=1"])
def test_a_client_may_want_names_asked_about(control: str) -> None:
    assert again(control, None)


@pytest.mark.parametrize(
    ("control", "pragma"), [(None, None), ("max-age=60", None), ("", "no-cache"), ("no-store", None)]
)
def test_otherwise_it_takes_what_is_fresh(control: str | None, pragma: str | None) -> None:
    assert not again(control, pragma)


def test_an_old_client_says_pragma() -> None:
    assert again(None, "no-cache")


@given(st.text(), st.none() | st.text())
def test_no_field_raises(field: str, other: str | None) -> None:
    assert matches(field, TAG) in (True, False)
    assert again(field, other) in (True, False)


@pytest.mark.parametrize(
    ("via", "passed"),
    [
        ("1.1 us", True),
        ("us", True),
        ("1.1 squid, 1.1 us, 1.0 fred", True),
        ("1.1 us,", True),
        ("1.1 squid,\tHTTP/1.1 us\t", True),
        ("1.1 thus", False),
        ("1.1 us2", False),
        ("1.1 us squid", False),
        ("1.1 them us", True),
        ("", False),
    ],
)
def test_who_a_request_has_passed(via: str, passed: bool) -> None:
    assert passed is passed_by(via, "us")


@pytest.mark.parametrize("via", ["," * 60_000, "a," * 30_000, "us " * 20_000, "us" + " " * 60_000 + "x"])
def test_hops_by_the_thousand_cost_no_time(via: str) -> None:
    began = time.thread_time()
    for _ in range(50):
        passed_by(via, "us")

    assert time.thread_time() - began < 0.15


@pytest.mark.parametrize("field", ['"' * 60_000, '"a",' * 15_000, f"{',' * 60_000}{TAG}"])
def test_entity_tags_by_the_thousand_cost_no_time(field: str) -> None:
    began = time.thread_time()
    for _ in range(50):
        matches(field, TAG)

    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("control", ["," * 60_000, "no," * 20_000])
def test_directives_by_the_thousand_cost_no_time(control: str) -> None:
    began = time.thread_time()
    for _ in range(50):
        again(control, None)

    assert time.thread_time() - began < 0.05
