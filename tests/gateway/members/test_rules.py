"""Patterns match whole names, deny wins, and what one upstream owns is asked of no other."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.gateway.members.rules import Owned, Rules, matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("corp/*", "corp/app", True),
        ("corp/*", "corp/team/app", True),
        ("corp/*", "corp", False),
        ("corp/*", "evil/corp/app", False),
        ("corp/*", "Corp/app", False),
        ("*", "a/b/c", True),
        ("*/app", "a/b/app", True),
        ("corp/?pp", "corp/app", True),
        ("corp/?", "corp/app", False),
        ("a.c/*", "abc/app", False),
        ("corp/app", "corp/app2", False),
        ("*a*b*", "xxaxxbxx", True),
        ("*a*b", "ba", False),
        ("a*a", "a", False),
        ("corp/*", "corp/app\nmore", True),
        ("[a]", "a", False),
    ],
)
def test_a_pattern_is_about_the_whole_name(pattern: str, name: str, fits: bool) -> None:
    assert fits == matches(pattern, name)


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=8))
def test_a_pattern_says_what_it_would_say_letter_by_letter(pattern: str, name: str) -> None:
    def slowly(rest: str, text: str) -> bool:
        match rest[:1]:
            case "":
                return not text
            case "*":
                return any(slowly(rest[1:], text[at:]) for at in range(len(text) + 1))
            case "?":
                return bool(text) and slowly(rest[1:], text[1:])
            case letter:
                return text[:1] == letter and slowly(rest[1:], text[1:])

    assert slowly(pattern, name) == matches(pattern, name)


def test_no_pattern_keeps_the_gateway_busy() -> None:
    began = time.process_time()
    matched = matches("*a" * 120 + "b", "a" * 255)

    assert not matched
    assert time.process_time() - began < 1


def test_deny_wins_over_allow() -> None:
    rules = Rules("hub", allow=("corp/*",), deny=("corp/secret*",))

    assert rules.refusal("corp/app") is None
    assert rules.refusal("corp/secrets") == "upstreams.hub.deny has 'corp/secret*'"
    assert rules.refusal("other/app") == "upstreams.hub.allow does not have it"


def rules(upstream: str, *claims: tuple[str, str], kind: str = "oci", kinds: dict[str, str] | None = None) -> Rules:
    kinds = kinds or {}
    return Rules(upstream, kind, owned=tuple(Owned(name, kinds.get(name, "oci"), one) for name, one in claims))


def test_what_one_owns_no_other_is_asked_for() -> None:
    claims = [("corp", "corp/*")]

    assert rules("corp", *claims).refusal("corp/app") is None
    assert rules("hub", *claims).refusal("corp/app") == "upstreams.corp.own has 'corp/*'"
    assert rules("hub", *claims).refusal("library/app") is None


def test_the_more_exact_claim_is_the_owners() -> None:
    claims = [("corp", "corp/*"), ("team", "corp/team/*")]

    assert rules("team", *claims).refusal("corp/team/app") is None
    assert rules("corp", *claims).refusal("corp/team/app") == "upstreams.team.own has 'corp/team/*'"
    assert rules("corp", *claims).refusal("corp/app") is None
    assert rules("team", *claims).refusal("corp/app") == "upstreams.corp.own has 'corp/*'"


def test_of_two_claims_as_exact_neither_is_asked() -> None:
    claims = [("one", "corp/*"), ("two", "*corp/")]

    assert rules("one", *claims).refusal("corp/") is not None
    assert rules("two", *claims).refusal("corp/") is not None


def test_an_image_and_a_package_of_one_name_may_have_two_owners() -> None:
    claims, kinds = [("images", "corp/*"), ("packages", "corp/*")], {"packages": "appr"}

    assert rules("images", *claims, kinds=kinds).refusal("corp/app") is None
    assert rules("packages", *claims, kinds=kinds, kind="appr").refusal("corp/app") is None
    assert rules("stranger", *claims, kinds=kinds, kind="appr").refusal("corp/app") is not None


@pytest.mark.parametrize(
    ("pattern", "refused"), [("corp/*", True), ("corp*", True), ("*", True), ("corp/app", False), ("corp/?", False)]
)
def test_a_namespace_is_refused_where_everything_in_it_is(pattern: str, refused: bool) -> None:
    assert refused == (rules("hub", ("corp", pattern)).refusal_within("corp") is not None)
    assert rules("hub", ("corp", "corp/*")).refusal_within("corps") is None
