"""Words that are one typing error away: a character missing, too many, wrong, or swapped with its neighbour. Pure.

One error leaves either the beginning or the end of a word as it is, so that two sorted lists find every candidate.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice

SHORTEST = 4
"""Of three characters nearly everything is one error away."""

EXAMINED = 500
"""Candidates looked at from each side, two microseconds each."""

_LAST = "\U0010ffff"


class Vocabulary:
    def __init__(self, words: Iterable[str]) -> None:
        self._words = sorted(set(words))
        self._backward = sorted(word[::-1] for word in self._words)

    def __contains__(self, word: str) -> bool:
        at = bisect_left(self._words, word)
        return at < len(self._words) and self._words[at] == word

    def near(self, word: str, limit: int) -> list[str]:
        """At most so many words that are one error away, by the alphabet."""
        if len(word) < SHORTEST:
            return []
        half, lengths = len(word) // 2, range(len(word) - 1, len(word) + 2)
        begin, end = word[:half], word[half + 1 :]
        candidates = chain(
            (one for one in islice(_beginning(self._words, begin), EXAMINED) if len(one) in lengths),
            (one[::-1] for one in islice(_beginning(self._backward, end[::-1]), EXAMINED) if len(one) in lengths),
        )
        return sorted({one for one in candidates if one_error(word, one)})[:limit]


def _beginning(words: list[str], begin: str) -> Iterator[str]:
    return (words[at] for at in range(bisect_left(words, begin), bisect_left(words, begin + _LAST)))


def one_error(one: str, other: str) -> bool:
    """Are they one error apart? Equal words are not."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    if len(longer) - len(shorter) > 1 or one == other:
        return False
    at = next((at for at, pair in enumerate(zip(longer, shorter, strict=False)) if pair[0] != pair[1]), len(shorter))
    if len(longer) > len(shorter):
        return longer[at + 1 :] == shorter[at:]
    swapped = longer[at : at + 2] == shorter[at : at + 2][::-1]
    return longer[at + 1 :] == shorter[at + 1 :] or (swapped and longer[at + 2 :] == shorter[at + 2 :])
