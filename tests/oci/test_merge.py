"""Catalogs merged: laws that hold for whatever members list."""

import json
from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.oci.merge import merged_catalogs
from apprproxy.oci.paging import Page, paged
from tests.core.laws import law

NAMES = st.lists(st.sampled_from(["a", "a/b", "b", "b-c", "b/a", "c", "corp/x", "corp/y", "zoo"]))
MEMBERS = st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), NAMES), max_size=4)


def said(members: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, bytes]]:
    return [(member, json.dumps({"repositories": names, "x": 1}).encode()) for member, names in members]


def everything(_: str, __: str) -> bool:
    return True


def merged(*members: tuple[str, Sequence[str]]) -> tuple[str, ...]:
    return merged_catalogs(said(members), everything)


@law
@given(MEMBERS)
def test_every_name_is_there_once_in_order(members: list[tuple[str, list[str]]]) -> None:
    assert tuple(sorted({name for _, names in members for name in names})) == merged(*members)


@law
@given(MEMBERS)
def test_merging_again_changes_nothing(members: list[tuple[str, list[str]]]) -> None:
    once = merged(*members)

    assert once == merged(("one", once)) == merged(*members, *members) == merged(*members, ("all", once))


@law
@given(MEMBERS, st.randoms())
def test_the_order_of_members_makes_no_difference(members: list[tuple[str, list[str]]], random: Random) -> None:
    shuffled = members[:]
    random.shuffle(shuffled)

    assert merged(*members) == merged(*shuffled)


@law
@given(MEMBERS)
def test_a_name_that_does_not_count_for_one_member_counts_for_the_others(members: list[tuple[str, list[str]]]) -> None:
    def admits(member: str, name: str) -> bool:
        return member == "two" or not name.startswith("corp/")

    owned = {name for member, names in members for name in names if member == "two" or not name.startswith("corp/")}
    assert tuple(sorted(owned)) == merged_catalogs(said(members), admits)


def test_null_is_an_empty_catalog() -> None:
    assert ("a",) == merged_catalogs([("one", b'{"repositories": null}'), *said([("two", ["a"])])], everything)


@law
@given(st.lists(MEMBERS, min_size=1, max_size=8), st.integers(1, 3))
def test_pages_lose_and_repeat_nothing_that_stays_while_members_change(
    rounds: list[list[tuple[str, list[str]]]], count: int
) -> None:
    """Each page is of another state of the members; the last state stays."""
    states = [merged(*members) for members in rounds]
    seen: list[str] = []
    last: str | None = None
    for at in range(100):
        names, more = paged(states[min(at, len(states) - 1)], Page(count, last))
        seen += names
        if names:
            last = names[-1]
        if more is None:
            break
    stayed = set(states[0]).intersection(*states[1 : at + 1])

    assert len(set(seen)) == len(seen)
    assert sorted(seen) == seen
    assert stayed <= set(seen)
