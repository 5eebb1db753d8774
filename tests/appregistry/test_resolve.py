"""What a text means among a package's releases: the table is what the genuine server's own library answered."""

from collections.abc import Iterable
from itertools import permutations
from typing import NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from semantic_version import SimpleSpec, Version

from apprproxy.appregistry.resolve import NotARange, highest, highest_first, may_mean, resolve

RELEASES = ["1.0.0", "1.2.0", "2.0.0-rc.1", "0.2.0", "1.0.0-rc.1", "0.1.0", "1.2.0+b1", "0.0.3", "10.0.0"]

GENUINE = {
    "1": "1.2.0",
    "1.0": "1.0.0",
    "*": "10.0.0",
    "^1.0.0": "1.2.0",
    "~1.0": "1.0.0",
    ">=1.0": "10.0.0",
    "==0.2": "0.2.0",
    "<1,>2": None,
    ">=0.1.0": "10.0.0",
    "~=1.0": "1.2.0",
    "=1.0.0": "1.0.0",
    "!=1.0.0": "10.0.0",
    "1.0.0": "1.0.0",
    "<2": "1.2.0",
    "^0.0.3": "0.0.3",
    "1.2.0+b1": "1.2.0+b1",
    ">=1.0.0,<2.0.0": "1.2.0",
    "1.0.0-rc.1": "1.0.0-rc.1",
    "<1.0.0-0": "0.2.0",
    "1.2.0-0": None,
}

CRASHES_THERE = {"^0": None, "~0": "0.2.0", "~1": "1.2.0", "1.*": "1.2.0"}
"""The genuine server answers 500 or 422 to these."""


@pytest.mark.parametrize(("text", "release"), {**GENUINE, **CRASHES_THERE}.items())
def test_a_range_means_its_highest_match(text: str, release: str | None) -> None:
    assert release == resolve(text, RELEASES)


@pytest.mark.parametrize("text", ["latest", "stable", "v1.0.0", "0.x", ""])
def test_what_is_no_range_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotARange):
        resolve(text, RELEASES)


def test_the_default_is_the_highest_with_prereleases_and_without_what_is_no_version() -> None:
    assert "2.0.0-rc.1" == resolve("default", ["0.2.0", "2.0.0-rc.1", "nightly"])
    assert None is resolve("default", ["nightly"])


def test_a_prerelease_is_meant_only_by_a_text_with_a_hyphen() -> None:
    assert "0.2.0" == resolve(">=0.1.0", ["0.2.0", "1.0.0-rc.1"])
    assert "1.0.0-rc.1" == resolve(">=0.1.0-0", ["0.2.0", "1.0.0-rc.1"])


@pytest.mark.parametrize("text", ["default", ">=1.0.0", "1"])
def test_of_builds_of_one_version_the_same_is_meant_however_the_releases_come(text: str) -> None:
    releases = ["1.2.0+b1", "1.2.0+b2", "1.2.0", "1.1.0"]
    assert {"1.2.0"} == {resolve(text, order) for order in permutations(releases)}
    assert {"1.2.0+b1"} == {resolve(text, order) for order in permutations(releases[:2])}
    assert "1.2.0" == highest(releases) == highest_first(releases)[0]


@given(st.text(max_size=30), st.lists(st.from_regex(r"\d{1,2}\.\d{1,2}\.\d{1,2}(-rc\.\d)?", fullmatch=True)))
@example("default", ["0.0.\u0660"])
def test_what_is_resolved_is_one_of_the_releases(text: str, releases: list[str]) -> None:
    try:
        chosen = resolve(text, releases)
    except NotARange:
        return
    assert chosen is None or chosen in releases


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("1.0.0", "1.0.0", True),
        ("1.0.0", "1.0.1", False),
        ("1.0.0-rc.1", "1.0.0", False),
        ("1.0.0+a", "1.0.0+b", False),
        ("default", "1.0.0", True),
        (">=1.0.0", "1.4.0", True),
        ("1.0", "1.0.7", True),
        ("*", "2.0.0", True),
        ("^1.0,!=1.2.0", "1.1.0", True),
        (">=1.x", "1.1.0", True),
        ("v1.0", "v1.0", True),
        ("v1.0", "v1.0-1", False),
        ("v1.0", "1.0.0", False),
        ("latest", "1.0.0", False),
        ("1.0.0.1", "1.0.0", False),
    ],
)
def test_what_is_no_range_is_answered_with_itself(asked: str, answered: str, same: bool) -> None:
    assert same == may_mean(asked, answered)


def test_one_range_is_read_once_however_many_releases_it_may_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 5,000 releases took five seconds, in one of the two threads that all upstreams' documents share."""
    read: list[str] = []

    def spec(text: str) -> SimpleSpec:
        read.append(text)
        return SimpleSpec(text)

    monkeypatch.setattr("apprproxy.appregistry.resolve.SimpleSpec", spec)
    long = ",".join(["0"] * 64)

    assert all(may_mean(long, f"1.0.{number}") for number in range(100))
    assert [long] == read


RELEASE = st.from_regex(r"\A(0|[1-9]{1,2}|01)\.[0-2]\.[0-9](-(0|01|[1-9]|rc|-|)(\.(0|7|10|a1))?)?(\+b?(\.01)?)?\Z")


@given(st.sets(RELEASE | st.sampled_from(["nightly", "v1.0.0", "1.0", "1.0.0-"]), min_size=1))
@example({"1.0.0+b", "1.0.0+a", "1.0.0-rc"})
@example({"0.0.\u0660", "z"})
def test_the_highest_is_the_first_of_all_in_order(releases: set[str]) -> None:
    assert highest_first(releases)[0] == highest(releases)


def test_of_a_hundred_thousand_releases_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def version(text: str) -> Version:
        compared.append(text)
        return Version(text)

    monkeypatch.setattr("apprproxy.appregistry.resolve.Version", version)
    releases = [f"{number}.0.0-{'a.' * 20}1" for number in range(100_000)]

    assert releases[-1] == highest(releases)
    assert [releases[-1]] == compared


@pytest.mark.parametrize("release", ["{}", "1.0.{}", "1.0.0-{}", "1.0.0+{}"])
def test_the_highest_is_found_without_putting_all_in_order(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is one call, in which no other thread has a turn: half a second and more for the longest list."""

    def ordered(texts: Iterable[str]) -> NoReturn:
        raise AssertionError(f"all of {texts} are put in order")

    releases = [release.format(number) for number in range(1000)]
    expected = highest_first(releases)[0]
    monkeypatch.setattr("apprproxy.appregistry.resolve.sorted", ordered, raising=False)

    assert expected == highest(releases)


def test_of_no_release_none_is_the_highest() -> None:
    assert "" == highest([])
