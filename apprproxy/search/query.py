"""A search as it was asked for: what exists is valid, whoever asks."""

import re
from dataclasses import dataclass

from apprproxy.core.errors import Malformed

LONGEST = 256
"""Characters of a query; no repository's name is longer."""
_TEXT = re.compile("[!-~]+")
_VIEW = re.compile("[a-z0-9][a-z0-9.-]{0,62}")
MOST = 100
USUAL = 20


@dataclass(frozen=True, slots=True)
class Query:
    """``protocol`` and ``view`` are empty where all are meant; ``view`` may be an upstream as well."""

    text: str
    protocol: str = ""
    view: str = ""
    limit: int = USUAL


def query(text: str | None, kind: str | None, view: str | None, limit: str | None, kinds: frozenset[str]) -> Query:
    """``kind`` is how clients call a protocol. Raises Malformed."""
    if kind is not None and kind not in kinds:
        raise Malformed(f"kind is none of {', '.join(sorted(kinds))}")
    return Query(_text(text), kind or "", "" if view is None else _view(view), _limit(limit))


def _text(text: str | None) -> str:
    if not text:
        raise Malformed("q, the text to look for, is missing or empty")
    if len(text) > LONGEST:
        raise Malformed(f"q is longer than {LONGEST} characters")
    if not _TEXT.fullmatch(text):
        raise Malformed("q has blanks, control characters, or others that no name has")
    return text


def _view(view: str) -> str:
    if not _VIEW.fullmatch(view):
        raise Malformed("view is no name of a view or an upstream")
    return view


def _limit(limit: str | None) -> int:
    if limit is None:
        return USUAL
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= MOST):
        raise Malformed(f"limit is not a number from 1 to {MOST}")
    return int(limit)
