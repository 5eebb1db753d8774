"""``WWW-Authenticate`` read by its grammar (RFC 9110, section 11.6.1).

Several challenges may share one field or come in several; a comma separates parameters as well as challenges, and real
servers leave values unquoted. Nothing here raises: what cannot be read is no challenge.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# possessive, so that what does not match is found out in one pass: an upstream may send thousands of blanks
_PARAMETER = re.compile(rf'\s*+({_WORD})\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]*+))\s*+(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*+({_WORD})(?=\s|,|$)")
_TOKEN68 = re.compile(r"\s*+[A-Za-z0-9._~+/-]++=*+\s*+(?:,|$)")

MAX_TEXT = 16 * 1024
"""Characters of all fields together: there may be a MiB of them, and a challenge for every second character is a second
in which nobody else has a turn."""
MAX_CHALLENGES = 64
"""Genuine servers send one to four."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """``scheme`` is lower case, as are the names of ``parameters``; the first of equal names counts."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return next((value for key, value in self.parameters if key == name), "")


def read_challenges(fields: Iterable[str]) -> list[Challenge]:
    """Those of all fields, in order; what is beyond the bounds is not read."""
    return list(islice((challenge for field in _within_bounds(fields) for challenge in _read(field)), MAX_CHALLENGES))


def _within_bounds(fields: Iterable[str]) -> Iterator[str]:
    left = MAX_TEXT
    for field in fields:
        yield field[:left]
        left -= len(field[:left])


def _read(field: str) -> Iterator[Challenge]:
    at = 0
    while match := _SCHEME.match(field, at):
        scheme, at = match[1].lower(), match.end()
        parameters: list[tuple[str, str]] = []
        while parameter := _PARAMETER.match(field, at):
            name, quoted, bare = parameter[1].lower(), parameter[2], parameter[3]
            parameters.append((name, re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare))
            at = parameter.end()
        if not parameters and not _SCHEME.match(field, at) and (blob := _TOKEN68.match(field, at)):
            at = blob.end()  # Negotiate and its like have one opaque word instead of parameters
        yield Challenge(scheme, tuple(parameters))
