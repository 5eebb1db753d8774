"""The library's reader of JSON is given a little at a time: no other thread has a turn before it has read all of that.

It is some ten times as fast as anything here. So what is long is cut where that may be done, and what is between two
cuts is the library's to read.
"""

import json
import math
import re
from typing import Any, NoReturn, TypeVar

from apprproxy.core.model import KIB

PIECE = 8 * KIB
"""Characters, the worst of which take a millisecond. A string may be longer: 8 MiB of one take some hundredths of a
second."""

_CUT = 2
"""Of a number that is cut, so much may not look like a part of it: ``1e+``."""

T = TypeVar("T")

_BLANK = re.compile(r"[ \t\n\r]*")
_CLOSING = {"[": "]", "{": "}"}


class NotADocument(ValueError):
    pass


def decoded(text: str, at: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends. Raises NotADocument, or what the library raises; IndexError where
    the text ends too early."""
    if len(text) - at <= PIECE:
        return DECODER.raw_decode(text, at)
    little = _read(text[at : at + PIECE])
    if little is not None and little[1] < PIECE - _CUT:
        return little[0], at + little[1]
    if text[at] in _CLOSING:
        return _in_parts(text, at)
    return DECODER.raw_decode(text, at)


def after_blanks(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def once(pairs: list[tuple[str, T]]) -> dict[str, T]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotADocument("two fields of one name")
    return found


def _in_parts(text: str, at: int) -> tuple[Any, int]:
    """A list or an object. Where it cannot be cut within a piece, all that begins in it is read one by one."""
    opening, closing = text[at], _CLOSING[text[at]]
    found: Any = {} if opening == "{" else []
    at = after_blanks(text, at + 1)
    if text[at] == closing:
        return found, at + 1
    uncut = at
    while True:
        several = _several(text, at, opening) if at >= uncut else None
        if several is None:
            uncut = max(uncut, at + PIECE)
        part, at = several or (_field(text, at) if opening == "{" else _element(text, at))
        _put(part, found)
        at = after_blanks(text, at)
        if text[at] == closing:
            return found, at + 1
        if text[at] != ",":
            raise NotADocument("not JSON")
        at = after_blanks(text, at + 1)


def _several(text: str, at: int, opening: str) -> tuple[Any, int] | None:
    """As many as end within a piece, and where. What is cut within one of them, or within a string, is not whole."""
    end = at + PIECE
    cut = max(text.rfind("},", at, end), text.rfind("],", at, end)) + 1 or text.rfind(",", at, end)
    if cut <= at:
        return None
    part = f"{opening}{text[at:cut]}{_CLOSING[opening]}"
    read = _read(part)
    return None if read is None or read[1] != len(part) else (read[0], cut)


def _element(text: str, at: int) -> tuple[list[Any], int]:
    value, at = decoded(text, at)
    return [value], at


def _field(text: str, at: int) -> tuple[dict[str, Any], int]:
    name, at = decoded(text, at)
    at = after_blanks(text, at)
    if not isinstance(name, str) or text[at] != ":":
        raise NotADocument("not JSON")
    value, at = decoded(text, after_blanks(text, at + 1))
    return {name: value}, at


def _put(part: Any, found: Any) -> None:
    before = len(found)
    if isinstance(found, list):
        found.extend(part)
    else:
        found.update(part)
    if len(found) != before + len(part):
        raise NotADocument("two fields of one name")


def _read(text: str) -> tuple[Any, int] | None:
    try:
        return DECODER.raw_decode(text)
    except NotADocument:  # which more of it would not make one
        raise
    except ValueError:
        return None


def _refused(constant: str) -> NoReturn:
    raise NotADocument(f"{constant}, which JSON does not have")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotADocument("a number beyond all bounds")
    return value


DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite, object_pairs_hook=once)
