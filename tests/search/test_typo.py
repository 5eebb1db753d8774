"""One typing error away, and no more: a law, and what the ordered lists find of it."""

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.search.typo import Vocabulary, one_error

words = st.text("abcd", max_size=9)


def slowly(one: str, other: str) -> bool:
    """By making every word that is one error away."""
    made = {one[:at] + one[at + 1 :] for at in range(len(one))}
    made |= {one[:at] + letter + one[at + 1 :] for at in range(len(one)) for letter in "abcd"}
    made |= {one[:at] + letter + one[at:] for at in range(len(one) + 1) for letter in "abcd"}
    made |= {one[:at] + one[at + 1] + one[at] + one[at + 2 :] for at in range(len(one) - 1)}
    return one != other and other in made


@given(words, words)
def test_one_error_is_what_making_every_error_finds(one: str, other: str) -> None:
    assert slowly(one, other) == one_error(one, other)


@given(words.filter(lambda word: len(word) >= 4), st.sets(words.filter(bool), max_size=30))
def test_every_word_that_is_one_error_away_is_found(word: str, known: set[str]) -> None:
    assert sorted(one for one in known if one_error(word, one)) == Vocabulary(known).near(word, 100)


def test_a_short_word_is_near_nothing() -> None:
    assert [] == Vocabulary({"abc", "abd"}).near("abe", 10)
