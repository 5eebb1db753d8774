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

_TRIES = 8
"""Pieces that turn out not to be whole, of those that begin within ``PIECE`` characters: what else begins there is read
value by value. Were a piece tried for each list that is open there, 256 KiB would take twenty seconds."""

T = TypeVar("T")

_WITHIN_BOUNDS = 308
"""Digits that a number may have, whichever they are."""
_BLANK = re.compile(r"[ \t\n\r]*")
_CLOSING = {"[": "]", "{": "}"}


class NotADocument(ValueError):
    pass


def decoded(text: str, at: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends. Raises NotADocument, or what the library raises; IndexError where
    the text ends too early."""
    return _Reader(text).value(at)


def after_blanks(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def after_name(name: Any, text: str, at: int) -> int:
    """Where the value of a field begins, whose name ends there. Raises NotADocument; IndexError as ``decoded`` does."""
    at = after_blanks(text, at)
    if not isinstance(name, str) or text[at] != ":":
        raise NotADocument("not JSON")
    return after_blanks(text, at + 1)


def once(pairs: list[tuple[str, T]]) -> dict[str, T]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotADocument("two fields of one name")
    return found


class _Reader:
    """Of one value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tried = self._failed = 0

    def value(self, at: int) -> tuple[Any, int]:
        text = self._text
        if len(text) - at <= PIECE or text[at] not in _CLOSING:
            return DECODER.raw_decode(text, at)
        little = self._read(text[at : at + PIECE]) if self._is_worth_a_try(at) else None
        return self._in_parts(at) if little is None else (little[0], at + little[1])

    def _in_parts(self, at: int) -> tuple[Any, int]:
        """A list or an object. Where it cannot be cut within a piece, all that begins in it is read one by one."""
        text, opening, closing = self._text, self._text[at], _CLOSING[self._text[at]]
        found: Any = {} if opening == "{" else []
        at = after_blanks(text, at + 1)
        if text[at] == closing:
            return found, at + 1
        uncut = at
        while True:
            several = self._several(at, opening) if at >= uncut and self._is_worth_a_try(at) else None
            if several is None:
                uncut = max(uncut, at + PIECE)
            part, at = several or (self._field(at) if opening == "{" else self._element(at))
            _put(part, found)
            at = after_blanks(text, at)
            if text[at] == closing:
                return found, at + 1
            if text[at] != ",":
                raise NotADocument("not JSON")
            at = after_blanks(text, at + 1)

    def _several(self, at: int, opening: str) -> tuple[Any, int] | None:
        """As many as end within a piece, and where. What is cut within one of them, or within a string, is not
        whole."""
        text, end = self._text, at + PIECE
        cut = max(text.rfind("},", at, end), text.rfind("],", at, end)) + 1 or text.rfind(",", at, end)
        part = f"{opening}{text[at:cut]}{_CLOSING[opening]}" if cut > at else ""
        read = self._read(part)
        return None if read is None or read[1] != len(part) else (read[0], cut)

    def _element(self, at: int) -> tuple[list[Any], int]:
        value, at = self.value(at)
        return [value], at

    def _field(self, at: int) -> tuple[dict[str, Any], int]:
        name, at = self.value(at)
        value, at = self.value(after_name(name, self._text, at))
        return {name: value}, at

    def _is_worth_a_try(self, at: int) -> bool:
        """To read a piece from there: too many were none of late."""
        if at >= self._tried + PIECE:
            self._tried, self._failed = at, 0
        return self._failed < _TRIES

    def _read(self, piece: str) -> tuple[Any, int] | None:
        try:
            return DECODER.raw_decode(piece)
        except ValueError:
            self._failed += 1
            return None


def _put(part: Any, found: Any) -> None:
    before = len(found)
    if isinstance(found, list):
        found.extend(part)
    else:
        found.update(part)
    if len(found) != before + len(part):
        raise NotADocument("two fields of one name")


def _refused(constant: str) -> NoReturn:
    raise NotADocument(f"{constant}, which JSON does not have")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotADocument("a number beyond all bounds")
    return value


def _whole(text: str) -> int:
    """For Go and others it is a float: a list with one that is too large, anywhere in it, they do not read at all."""
    if len(text) > _WITHIN_BOUNDS:
        _finite(text)
    return int(text)


DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite, parse_int=_whole, object_pairs_hook=once)
