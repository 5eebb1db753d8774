"""JSON as servers send it, read in one strict way: whoever checks a document and whoever uses it see the same.

- What readers may take differently is no document: what JSON does not have (``NaN``, a number beyond all bounds), two
  fields of one name, half a character.
- Whatever is decided by a field asks for it as ``spelt``: some find it under other names, too.
- What it costs to read is bounded by the number of its values: a list of a million empty lists is small, and takes
  seconds that no thread gives away.
- The parts of a document are passed on byte for byte: a gateway is not an editor.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from apprproxy.core.decoding import NotADocument as NotADocument
from apprproxy.core.decoding import after_blanks, after_name, decoded, once

MAX_VALUES = 1_000_000
"""About as many as 8 MiB of releases or of tags have."""
MAX_ELEMENTS = 250_000
"""Of a list, or an object, that is taken apart: packages and referrers take some dozens of bytes each."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""A half of a character, or two that are one; or, after another backslash, none of both."""
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]")


T = TypeVar("T")


def parsed(body: bytes) -> Any:
    """Raises NotADocument."""
    with _told():
        text = _text(body)
        value, at = _value(text, after_blanks(text, 0))
        if text[after_blanks(text, at) :]:
            raise NotADocument("more than one document")
        return value


def elements(body: bytes) -> Iterator[tuple[Any, bytes]]:
    """Those of a list, and each as it came; raises NotADocument, also where it is no list."""
    with _told():
        yield from _counted(_parts(_text(body), "[", "]", _value))


def fields(body: bytes) -> dict[str, tuple[Any, bytes]]:
    """Those of an object, and each value as it came, in order; raises NotADocument, also where it is no object."""
    with _told():
        return once([pair for pair, _ in _counted(_parts(_text(body), "{", "}", _field))])


def spelt(found: dict[str, T], *names: str) -> dict[str, T]:
    """The same object; raises NotADocument where one of these names is there in another case.

    Go (``encoding/json``) puts ``Digest``, and what else folds to it, where its reader wants ``digest``, and the last
    of them counts: beside the right one or alone it would be read there, where nobody has looked at it here. That is so
    of the fields that a reader knows. The names of a map, such as annotations, are anybody's and are taken as they are:
    ``Foo`` beside ``foo`` is a document."""
    wanted = _folded(names)
    for name in found:
        if name not in names and name.casefold() in wanted:
            raise NotADocument(f"ambiguous: some read {name[:80]!r} whatever its case")
    return found


@cache
def _folded(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def listed(elements: Iterable[bytes]) -> bytes:
    """The list of what is JSON already."""
    return b"[" + b",".join(elements) + b"]"


def composed(fields: Mapping[str, bytes]) -> bytes:
    """The object, likewise."""
    return b"{" + b",".join(json.dumps(name).encode() + b":" + raw for name, raw in fields.items()) + b"}"


def values(body: bytes) -> int:
    """About how many it has, by which it takes time."""
    return sum(map(body.count, (b",", b"[", b"{")))


def _text(body: bytes) -> str:
    if values(body) > MAX_VALUES:
        raise NotADocument(f"of more than {MAX_VALUES} values")
    return body.decode()


def _counted(parts: Iterator[T]) -> Iterator[T]:
    for number, part in enumerate(parts):
        if number == MAX_ELEMENTS:
            raise NotADocument(f"of more than {MAX_ELEMENTS} elements")
        yield part


def _parts(text: str, begin: str, end: str, part: Callable[[str, int], tuple[Any, int]]) -> Iterator[tuple[Any, bytes]]:
    at = after_blanks(text, 0)
    if text[at] != begin:
        raise NotADocument({"{": "not a list", "[": "not an object"}.get(text[at], "not JSON"))
    at, more = after_blanks(text, at + 1), True
    if text[at] == end:
        at, more = at + 1, False
    while more:
        first = at
        value, at = part(text, first)
        yield value, text[first:at].encode()
        at = after_blanks(text, at)
        if text[at] not in ("," + end):
            raise NotADocument("not JSON")
        more = text[at] == ","
        at = after_blanks(text, at + 1)
    if text[after_blanks(text, at) :]:
        raise NotADocument("more than one document")


def _value(text: str, at: int) -> tuple[Any, int]:
    value, end = decoded(text, at)
    _refuse_halves(text, at, end)
    return value, end


def _refuse_halves(text: str, at: int, end: int) -> None:
    """In what is JSON. A library that is asked to write it would find them, and hold up all threads for it."""
    paired = at
    for half in _SURROGATE.finditer(text, at, end):
        start = half.start()
        if start < paired or _is_escaped(text, start):
            continue
        if not _PAIR.match(text, start, end):
            raise NotADocument("half a character")
        paired = start + len(r"\ud83d\ude00")


def _is_escaped(text: str, at: int) -> bool:
    """Is this backslash the second of two?"""
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def _field(text: str, at: int) -> tuple[tuple[str, tuple[Any, bytes]], int]:
    name, at = _value(text, at)
    first = after_name(name, text, at)
    value, at = _value(text, first)
    return (name, (value, text[first:at].encode())), at


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
