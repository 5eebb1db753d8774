"""What a search finds, in which order, and how fast among 100,000 names."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apprproxy.core.listing import Listed
from apprproxy.search import corpus as corpora
from apprproxy.search.corpus import Corpus, Match
from tests.bench.search import QUERIES, names

LIMIT = 100
PROMISED = 0.020
"""Seconds."""

some_names = st.lists(st.text("ab/-.", min_size=1, max_size=12), max_size=40)


def found(things: Corpus, text: str, limit: int = LIMIT) -> list[tuple[str, str]]:
    return [(hit.match.name.lower(), hit.thing.name) for hit in things.find(text, limit)]


def corpus(*names: str) -> Corpus:
    return Corpus(Listed(name) for name in names)


def test_the_best_matches_come_first_and_equal_ones_by_the_alphabet() -> None:
    things = corpus("z/my-nginx", "b/nginx", "nginx", "a/nginx-ingress", "nginx/unit", "a/ngnix", "redis")

    assert [
        ("exact", "b/nginx"),
        ("exact", "nginx"),
        ("prefix", "a/nginx-ingress"),
        ("prefix", "nginx/unit"),
        ("substring", "z/my-nginx"),
    ] == found(things, "nginx")


@pytest.mark.parametrize("limit", [1, 5, 30, 60])
def test_of_many_that_begin_alike_the_first_by_the_alphabet_are_found(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "_BLOCK", 8)
    alike = [f"{one:02d}/nginx-{one * 29 % 60:02d}" for one in range(60)]
    things = corpus(*alike, *(f"{one}/{one}" for one in "aznx"))

    assert [("prefix", name) for name in alike[:limit]] == found(things, "nginx", limit)
    assert [("prefix", name) for name in sorted(alike) if "nginx-1" in name][:limit] == found(things, "nginx-1", limit)


@pytest.mark.parametrize("typo", ["ngnix", "ngin", "nginxx", "nfinx", "NGNIX"])
def test_a_small_typo_finds_what_was_meant(typo: str) -> None:
    things = corpus("a/nginx", "b/nginx-ingress", "redis")
    match = [pair for pair in found(things, typo) if pair[0] == "fuzzy"] or found(things, typo)

    assert ["a/nginx", "b/nginx-ingress"] == [name for _, name in match]


def test_one_typo_in_each_word_of_a_name_is_mended() -> None:
    assert [("fuzzy", "prometheus/busybox")] == found(corpus("prometheus/busybox", "other/box"), "promtheus/busibox")


def test_capitals_do_not_count_and_are_kept() -> None:
    assert [("exact", "Alice/Nginx")] == found(corpus("Alice/Nginx"), "alice/nginx")


def test_a_name_that_comes_twice_is_found_once() -> None:
    assert [("exact", "a/b")] == found(corpus("a/b", "a/b"), "b")


@given(some_names, st.text("ab/-.", min_size=1, max_size=4), st.integers(1, 10))
def test_nothing_that_contains_the_text_is_missed(given_names: list[str], text: str, limit: int) -> None:
    things = corpus(*given_names)
    hits = things.find(text, limit)
    plain = [hit for hit in hits if hit.match is not Match.FUZZY]

    assert min(limit, len({name for name in given_names if text in name})) == len(plain)
    assert all(text in hit.thing.name for hit in plain)
    assert sorted(hits, key=lambda hit: hit.match) == hits
    assert len({hit.thing.name for hit in hits}) == len(hits) <= limit


@given(some_names, st.text("ab/-.", min_size=1, max_size=4))
@example(["aa", "a.", "aaa", "/ab"], "a")
def test_a_smaller_limit_finds_the_beginning_of_a_larger_ones(given_names: list[str], text: str) -> None:
    things = corpus(*given_names)

    assert all(things.find(text, limit)[0] == things.find(text, LIMIT)[0] for limit in (1, 3) if things.find(text, 1))


def test_of_too_many_names_the_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "LIMIT", 2)
    things = corpus("c", "a", "b")

    assert (["a", "b"], True) == ([one.name for one in things.things], things.cut)


def test_100_000_names_are_searched_in_under_20_milliseconds() -> None:
    """Of this thread's own time, since the machine may be busy."""
    things = Corpus(Listed(name) for name in names(100_000))
    best = {text: min(_taken(things, text) for _ in range(5)) for text in QUERIES}

    assert 100_000 == len(things)
    assert {} == {text: seconds for text, seconds in best.items() if seconds > PROMISED}


def _taken(things: Corpus, text: str) -> float:
    begun = time.thread_time()
    things.find(text, LIMIT + 1)
    return time.thread_time() - begun
