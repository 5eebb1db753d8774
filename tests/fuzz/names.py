"""Names as operators write them, patterns of names, words that are looked for, and text for terminals."""

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache

from apprproxy.appregistry.resolve import NotARange, highest_first, resolve
from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Malformed
from apprproxy.core.listing import Listed
from apprproxy.core.model import Expected
from apprproxy.gateway.members.rules import matches
from apprproxy.ops.logs import MAX_TEXT, plain
from apprproxy.search.corpus import Corpus
from apprproxy.search.query import query
from apprproxy.settings.units import parse_duration, parse_size, write_duration, write_size
from apprproxy.upkeep.title import parse
from tests.fuzz.laws import is_remembered, may_be_shown, text

_NAME = re.compile("[!-~]+")
_LINES = 20
_OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def lines(data: bytes) -> None:
    """Each line alone, and the first with the others."""
    first, *others = text(data).split("\n")[:_LINES]
    for line in (first, *others):
        _title(line)
        _digest(line)
        _quantity(line)
    _release(first, sorted(set(others)))
    _pattern(first, others)
    _searched(first, others)
    _shown(text(data))


def _title(line: str) -> None:
    try:
        title = parse(line)
    except Malformed as failure:
        may_be_shown(failure)
        return
    assert title == parse(title.text)
    assert f"{title.upstream}/{title.repository}" == title.text[: len(title.upstream) + 1 + len(title.repository)]
    if title.want is not None:
        is_remembered(title.want)


def _digest(line: str) -> None:
    with suppress(MalformedDigest):
        assert str(Digest.parse(line)) == line
    with suppress(MalformedDigest):
        assert Expected.of_key(line).key == line


def _quantity(line: str) -> None:
    with suppress(ValueError):
        assert parse_duration(write_duration(parse_duration(line))) == parse_duration(line)
    with suppress(ValueError):
        assert parse_size(write_size(parse_size(line))) == parse_size(line)


def _release(asked: str, releases: list[str]) -> None:
    assert sorted(highest_first(releases)) == sorted(releases)
    with suppress(NotARange):
        assert resolve(asked, releases) in (None, *releases)


def _pattern(pattern: str, names: list[str]) -> None:
    for name in names:
        assert matches(pattern[:100], name[:100]) == _means(pattern[:100], name[:100])


def _means(pattern: str, name: str) -> bool:
    """The same, letter by letter."""

    @lru_cache(None)
    def rest(at: int, there: int) -> bool:
        if at == len(pattern):
            return there == len(name)
        if pattern[at] == "*":
            return rest(at + 1, there) or (there < len(name) and rest(at, there + 1))
        return there < len(name) and pattern[at] in ("?", name[there]) and rest(at + 1, there + 1)

    return rest(0, 0)


def _searched(word: str, names: list[str]) -> None:
    listed = [name for name in names if _NAME.fullmatch(name)]
    corpus = Corpus(map(Listed, listed))
    try:
        hits = corpus.find(query(word, None, None, None, frozenset()).text, 3)
    except Malformed:
        return
    assert len(hits) <= 3
    assert {hit.thing.name for hit in hits} <= set(listed)
    assert [hit.match for hit in hits] == sorted(hit.match for hit in hits)
    assert all(corpus.has(name) for name in listed)


def _shown(anything: str) -> None:
    shown = plain(anything)
    assert len(shown) <= MAX_TEXT
    assert shown == plain(shown)
    shown.encode()
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs")
        assert unicodedata.bidirectional(character) not in _OVERRIDES
        assert character not in "\u061c\u200e\u200f"
