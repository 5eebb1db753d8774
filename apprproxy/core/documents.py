"""JSON as servers send it, read in one strict way: whoever checks a document and whoever uses it see the same.

- What JSON does not have (``NaN``, a number beyond all bounds) is no document, whatever other readers make of it.
- The parts of a document are passed on byte for byte: a gateway is not an editor.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

_BLANK = re.compile(r"[ \t\n\r]*")


class NotADocument(ValueError):
    pass


def parsed(body: bytes) -> Any:
    """Raises NotADocument."""
    with _told():
        return json.loads(body.decode(), parse_constant=_refused, parse_float=_finite)


def elements(body: bytes) -> Iterator[tuple[Any, bytes]]:
    """Those of a list, and each as it came; raises NotADocument, also where it is no list."""
    with _told():
        yield from _parts(body.decode(), "[", "]", _element)


def fields(body: bytes) -> dict[str, tuple[Any, bytes]]:
    """Those of an object, and each value as it came, in order; raises NotADocument, also where it is no object or has
    two fields of one name, of which two readers might choose different ones."""
    with _told():
        pairs = [pair for pair, _ in _parts(body.decode(), "{", "}", _field)]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotADocument("two fields of one name")
    return found


def listed(elements: Iterable[bytes]) -> bytes:
    """The list of what is JSON already."""
    return b"[" + b",".join(elements) + b"]"


def composed(fields: Mapping[str, bytes]) -> bytes:
    """The object, likewise."""
    return b"{" + b",".join(json.dumps(name).encode() + b":" + raw for name, raw in fields.items()) + b"}"


def _parts(text: str, begin: str, end: str, part: Callable[[str, int], tuple[Any, int]]) -> Iterator[tuple[Any, bytes]]:
    at = _after_blanks(text, 0)
    if text[at] != begin:
        raise NotADocument({"{": "not a list", "[": "not an object"}.get(text[at], "not JSON"))
    at, more = _after_blanks(text, at + 1), True
    if text[at] == end:
        at, more = at + 1, False
    while more:
        first = at
        value, at = part(text, first)
        yield value, text[first:at].encode()
        at = _after_blanks(text, at)
        if text[at] not in ("," + end):
            raise NotADocument("not JSON")
        more = text[at] == ","
        at = _after_blanks(text, at + 1)
    if text[_after_blanks(text, at) :]:
        raise NotADocument("more than one document")


def _element(text: str, at: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, at)


def _field(text: str, at: int) -> tuple[tuple[str, tuple[Any, bytes]], int]:
    name, at = _DECODER.raw_decode(text, at)
    at = _after_blanks(text, at)
    if not isinstance(name, str) or text[at] != ":":
        raise NotADocument("not JSON")
    first = _after_blanks(text, at + 1)
    value, at = _DECODER.raw_decode(text, first)
    return (name, (value, text[first:at].encode())), at


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


@contextmanager
def _told() -> Iterator[None]:
    """What the library's reader, or a text that ends too early, raises."""
    try:
        yield
    except NotADocument:
        raise
    except RecursionError:
        raise NotADocument("nests too deep") from None
    except (ValueError, IndexError, StopIteration):
        raise NotADocument("not JSON") from None


_DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite)
