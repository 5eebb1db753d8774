"""JSON as servers send it, read in one strict way: whoever checks a document and whoever uses it see the same.

- What JSON does not have (``NaN``, a number beyond all bounds) is no document, whatever other readers make of it.
- The elements of a list are passed on byte for byte: a gateway is not an editor.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

_BLANK = re.compile(r"[ \t\n\r]*")


class NotADocument(ValueError):
    pass


def parsed(body: bytes) -> Any:
    """Raises NotADocument."""
    try:
        return json.loads(body, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise NotADocument(_reason(error)) from None


def elements(body: bytes) -> Iterator[tuple[Any, bytes]]:
    """Those of a list, and each as it came; raises NotADocument, also where it is no list."""
    try:
        text = body.decode()
        yield from _elements(text)
    except (ValueError, RecursionError, IndexError, StopIteration) as error:
        raise NotADocument(_reason(error)) from None


def joined(elements: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def _elements(text: str) -> Iterator[tuple[Any, bytes]]:
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "[":
        raise NotADocument("no list")
    at, more = _after_blanks(text, at + 1), True
    if text[at] == "]":
        at, more = at + 1, False
    while more:
        begin = at
        value, at = _DECODER.raw_decode(text, begin)
        yield value, text[begin:at].encode()
        at = _after_blanks(text, at)
        if text[at] not in ",]":
            raise NotADocument("a list without commas")
        more = text[at] == ","
        at = _after_blanks(text, at + 1)
    if text[_after_blanks(text, at) :]:
        raise NotADocument("more than one document")


def _after_blanks(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _refused(constant: str) -> NoReturn:
    raise NotADocument(f"{constant}, which JSON does not have")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotADocument("a number beyond all bounds")
    return value


def _reason(error: Exception) -> str:
    match error:
        case RecursionError():
            return "nests too deep"
        case NotADocument():
            return str(error)
        case _:
            return "not JSON"


_DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite)
