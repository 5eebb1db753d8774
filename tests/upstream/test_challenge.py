"""``WWW-Authenticate`` as real servers write it; whatever cannot be read is no challenge, and never an exception."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.upstream.challenge import MAX_CHALLENGES, MAX_TEXT, Challenge, read_challenges

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12)
QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
CHALLENGE = st.tuples(WORD, st.lists(st.tuples(WORD, QUOTED), min_size=1, max_size=4, unique_by=lambda p: p[0].lower()))


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("field", "challenges"),
    [
        ('Bearer realm="https://a/token",service="r"', [("bearer", {"realm": "https://a/token", "service": "r"})]),
        ("Bearer realm=https://a/token,service=r", [("bearer", {"realm": "https://a/token", "service": "r"})]),
        ('Bearer realm="a", Basic realm="b"', [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        ('Basic realm="x, Bearer realm=y"', [("basic", {"realm": "x, Bearer realm=y"})]),
        ('bEaReR ReAlM = "a" ,scope="a:b:pull,push"', [("bearer", {"realm": "a", "scope": "a:b:pull,push"})]),
        ("Negotiate YIIabc/+, Basic", [("negotiate", {}), ("basic", {})]),
        ("Negotiate YIIabc==, Basic", [("negotiate", {"yiiabc": "="}), ("basic", {})]),
        ("Negotiate, NTLM", [("negotiate", {}), ("ntlm", {})]),
        (r'Basic realm="a\"b\\c"', [("basic", {"realm": 'a"b\\c'})]),
        ('Basic realm=""', [("basic", {"realm": ""})]),
        (", , Basic realm=a, ,", [("basic", {"realm": "a"})]),
        ("", []),
        ('"', []),
    ],
)
def test_what_servers_write_is_read(field: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert challenges == [(one.scheme, dict(one.parameters)) for one in read_challenges([field])]


@given(st.lists(st.text(max_size=200)))
def test_no_text_raises(fields: list[str]) -> None:
    assert all(isinstance(one, Challenge) for one in read_challenges(fields))


@given(st.text('abc =,"\\ ', max_size=400))
def test_no_text_that_looks_like_a_challenge_raises(field: str) -> None:
    assert all(one.scheme for one in read_challenges([field]))


@given(st.lists(CHALLENGE, max_size=4), st.booleans())
def test_well_formed_challenges_are_found(wanted: list[tuple[str, list[tuple[str, str]]]], in_one_field: bool) -> None:
    fields = [f"{scheme} " + ", ".join(f"{key}={quote(value)}" for key, value in rest) for scheme, rest in wanted]
    found = read_challenges([", ".join(fields)] if in_one_field else fields)

    assert [scheme.lower() for scheme, _ in wanted] == [one.scheme for one in found]
    for (_, parameters), one in zip(wanted, found, strict=True):
        for key, value in parameters:
            assert value == one.get(key.lower())


HOLE = "Bearer a=" + " " * 16_000 + '"'
"""A pattern that goes back tries each blank as the last one before the value, and as the first one after it."""


@pytest.mark.parametrize("field", ["a=" * 10_000, 'Basic realm="' + "\\" * 16_000, " ," * 8_000, "a " * 8_000, HOLE])
def test_a_hostile_field_costs_little(field: str) -> None:
    begun = time.process_time()

    assert len(read_challenges([field])) <= 8_000
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("text", ["a,", "a ", "a a=1,", "Basic a,", ","])
def test_of_many_fields_no_more_is_read_than_of_one(text: str) -> None:
    """A header of a MiB has room for half a million challenges, which would take a second."""
    field = text * (8000 // len(text))

    assert len(read_challenges([field] * 120)) <= MAX_CHALLENGES
    assert [] == read_challenges([*[","] * MAX_TEXT, "Basic realm=a"])


def test_a_challenge_behind_some_others_is_found() -> None:
    found = read_challenges(["Negotiate", "NTLM", 'Digest realm="a", nonce="' + "b" * 4000 + '"', "Bearer realm=c"])

    assert ["negotiate", "ntlm", "digest", "bearer"] == [one.scheme for one in found]
