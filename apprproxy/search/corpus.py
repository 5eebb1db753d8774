"""The names of one upstream, ordered so that the best matches are found without looking at all of them.

- Names are compared in lower case, whole and by their last segment; the best match decides.
- All names stand in one text, one a line: the search for a substring runs at the speed of ``str.find`` and stops when
  it has enough. ADR 18 says why this is no database.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from heapq import merge, nsmallest
from itertools import accumulate, islice, product

from apprproxy.core.listing import Listed
from apprproxy.search.typo import Vocabulary

LIMIT = 100_000
"""Names kept of one upstream, some 60 MiB; the first by the alphabet."""

_WORDS = re.compile(r"[^/._-]+")
_LAST = "\U0010ffff"
_LIKELY = 3
_WRONG = 2
"""Words of a text that are mended; one with more errors is no slip of a finger, and every word takes milliseconds."""
_CORRECTED = 8


_BLOCK = 1024
"""Tails that are also kept in the order of their names: of thousands that begin alike, the first by the alphabet are
found without looking at all."""


class Match(IntEnum):
    """How well a name matches; the lower the better."""

    EXACT = 0
    PREFIX = 1
    SUBSTRING = 2
    FUZZY = 3


@dataclass(frozen=True, slots=True)
class Hit:
    match: Match
    thing: Listed


class Corpus:
    def __init__(self, things: Iterable[Listed]) -> None:
        known = sorted({thing.name: thing for thing in things}.values(), key=lambda thing: (_plain(thing), thing.name))
        self.cut = len(known) > LIMIT
        self.things: Sequence[Listed] = tuple(known[:LIMIT])
        self._names = [_plain(thing) for thing in self.things]
        tails = sorted((name.rpartition("/")[2], at) for at, name in enumerate(self._names))
        self._tails = [tail for tail, _ in tails]
        self._tail_of = array("I", [at for _, at in tails])
        self._blocks = [
            array("I", sorted(self._tail_of[at : at + _BLOCK])) for at in range(0, len(self._tails), _BLOCK)
        ]
        self._text = "\n".join(self._names)
        self._starts = array("L", accumulate((len(name) + 1 for name in self._names), initial=0))
        self._vocabulary = Vocabulary(word for name in self._names for word in _WORDS.findall(name))

    def __len__(self) -> int:
        return len(self.things)

    def has(self, name: str) -> bool:
        begin, end = bisect_left(self._names, name.lower()), bisect_right(self._names, name.lower())
        return any(self.things[at].name == name for at in range(begin, end))

    def find(self, text: str, limit: int) -> list[Hit]:
        """At most so many, the best first, then by the alphabet. ``text`` has no control characters."""
        wanted, chosen = text.lower(), dict[int, Match]()
        for match, found in self._found(wanted, limit):
            fresh = {at for at in found if at not in chosen}
            chosen.update((at, match) for at in sorted(fresh)[: limit - len(chosen)])
            if len(chosen) >= limit:
                break
        return [Hit(match, self.things[at]) for at, match in chosen.items()]

    def _found(self, wanted: str, limit: int) -> Iterator[tuple[Match, list[int]]]:
        """By rank; each as many as could be needed, some of them found before."""
        yield Match.EXACT, self._between(wanted, wanted, limit)
        yield Match.PREFIX, self._between(wanted, wanted + _LAST, 3 * limit)
        yield Match.SUBSTRING, list(islice(self._containing(wanted), 2 * limit))
        yield Match.FUZZY, [at for one in self._corrected(wanted) for at in islice(self._containing(one), limit)]

    def _between(self, begin: str, end: str, limit: int) -> list[int]:
        first, last = bisect_left(self._names, begin), bisect_right(self._names, end)
        tail, after = bisect_left(self._tails, begin), bisect_right(self._tails, end)
        return [*range(first, min(last, first + limit)), *self._first_of(tail, after, limit)]

    def _first_of(self, begin: int, end: int, limit: int) -> Iterable[int]:
        """Of so many tails, the names that come first."""
        after, before = -(-begin // _BLOCK), end // _BLOCK
        if after >= before:
            return nsmallest(limit, self._tail_of[begin:end])
        around = self._tail_of[begin : after * _BLOCK] + self._tail_of[before * _BLOCK : end]
        return islice(merge(sorted(around), *self._blocks[after:before]), limit)

    def _containing(self, wanted: str) -> Iterator[int]:
        at = self._text.find(wanted)
        while at >= 0:
            line = bisect_right(self._starts, at) - 1
            yield line
            at = self._text.find(wanted, self._starts[line + 1])

    def _corrected(self, wanted: str) -> Iterator[str]:
        """The text with one error in any of its words mended; nothing where a word is beyond that."""
        words = _WORDS.findall(wanted)
        if sum(word not in self._vocabulary for word in words) > _WRONG:
            return
        likely = [[word] if word in self._vocabulary else self._vocabulary.near(word, _LIKELY) for word in words]
        for chosen in islice(product(*likely), _CORRECTED):
            mended = iter(chosen)
            corrected = _WORDS.sub(lambda _, mended=mended: next(mended), wanted)  # type: ignore[misc]  # a default
            if corrected != wanted:
                yield corrected


def _plain(thing: Listed) -> str:
    return thing.name.lower()
