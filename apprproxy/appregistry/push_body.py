"""What a push brings, read piece by piece: 96 MiB in one call would hold up everybody else.

- Long strings, of which its package is one, are not given to the JSON reader: each is read where it stands, if at all.
- What is around them is small, or it is no push.
"""

import base64
import io
import secrets
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from apprproxy.appregistry.shapes import NotTheShape, any_title_of, read_title
from apprproxy.core.errors import Malformed
from apprproxy.core.model import KIB, MIB

LONG = 64 * KIB
PIECE = 256 * KIB
MAX_REST = 1 * MIB
MAX_QUOTES = 100_000
MAX_COMMAS = 10_000
"""What a push says of its package is a few fields. Anybody may push, and a million empty lists would be a million
objects."""

_MAX_SLASHES = 64
_LONGEST = len(r"\ud83d\ude00")
"""Of what stands for one character."""
_FOREIGN = bytes(set(range(256)) - set(f"{string.ascii_letters}{string.digits}+/=".encode()))
"""To base64: skipped, as the genuine servers do."""


def pushed_titles(package: str, body: bytes) -> tuple[str, ...]:
    """The release that a push names, with its format and without; none where no manifest could name it, for what was
    pushed is remembered. Blocking; raises Malformed for what costs too much to read."""
    try:
        fields, long = _read(body)
        release, media_type = fields["release"], fields.get("media_type") or "kpm"
        title = read_title(package, release, media_type)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, NotTheShape):
        return ()
    return (title, any_title_of(title)) if not {release, media_type} & long.keys() else ()


def pushed_archive(body: bytes) -> bytes:
    """The package that a push brings, packed; empty for what is none. Blocking."""
    try:
        fields, long = _read(body)
        blob = fields["blob"]
        return _decoded(_texts(body, *long[blob]) if blob in long else [blob])
    except (Malformed, ValueError, LookupError, TypeError, AttributeError):
        return b""


def _read(body: bytes) -> tuple[Any, Mapping[str, tuple[int, int]]]:
    """The document with a name in the place of each long string, and where that begins and ends. Nobody can know such a
    name before, and say it."""
    mark = secrets.token_hex(16)
    long = {f"{mark}{begin}": (begin, end) for begin, end in _strings(body) if end - begin > LONG}
    if len(body) - sum(end - begin for begin, end in long.values()) > MAX_REST:
        raise Malformed("the body has too much beside its package")
    rest, at = [], 0
    for name, (begin, end) in long.items():
        rest += [body[at:begin], name.encode()]
        at = end
    short = b"".join([*rest, body[at:]])
    if short.count(b",") > MAX_COMMAS:
        raise Malformed("the body has too many fields for a package's")
    return orjson.loads(short), long


def _strings(body: bytes) -> Iterator[tuple[int, int]]:
    """Where each string of a JSON text begins and ends, without its quotes."""
    begin, at = 0, -1
    for _ in range(MAX_QUOTES):
        at = body.find(b'"', at + 1)
        if at < 0:
            return
        if not begin:
            begin = at + 1
        elif not _is_escaped(body, begin, at):
            yield begin, at
            begin = 0
    raise Malformed("the body has too many fields for a package's")


def _is_escaped(body: bytes, begin: int, at: int) -> bool:
    before = body[max(begin, at - _MAX_SLASHES) : at]
    slashes = len(before) - len(before.rstrip(b"\\"))
    if slashes == _MAX_SLASHES:
        raise Malformed("the body has too many backslashes for a package's")
    return slashes % 2 == 1


def _texts(body: bytes, begin: int, end: int) -> Iterator[str]:
    """A JSON string in pieces, none of which ends within a character; raises ValueError where it is none."""
    while begin < end:
        stop = min(begin + PIECE, end)
        text, begin = _text(body, begin, stop)
        yield text


def _text(body: bytes, begin: int, stop: int) -> tuple[str, int]:
    for end in range(stop, max(begin, stop - _LONGEST), -1):
        try:
            return orjson.loads(b'"' + body[begin:end] + b'"'), end
        except orjson.JSONDecodeError:
            continue
    raise ValueError("not a JSON string")


def _decoded(texts: Iterable[str]) -> bytes:
    """Base64; raises ValueError where it is cut off, or is not ASCII as a whole. Padding ends it, however much of that
    there is, and whatever is behind it."""
    packed, coded, padding = io.BytesIO(), b"", b""
    for text in texts:
        more = text.encode("ascii").translate(None, _FOREIGN)
        if not padding:
            coded, padding, _ = (coded + more).partition(b"=")
            whole = len(coded) // 4 * 4
            packed.write(base64.b64decode(coded[:whole]))
            coded = coded[whole:]
    packed.write(base64.b64decode(coded + 2 * padding))
    return packed.getvalue()
