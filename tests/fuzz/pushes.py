"""Pushed bodies: what is read of them piece by piece is what a JSON reader reads of the whole, or nothing."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson

from apprproxy.appregistry import push_body
from apprproxy.appregistry.push_body import pushed_archive, pushed_titles
from apprproxy.appregistry.shapes import NotTheShape, any_title_of, read_title
from apprproxy.core.errors import Malformed

_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SIZES = ((16, 16), (12, 40), (40, 12), (64 * 1024, 256 * 1024))
"""Of long strings and of pieces; the last are the real ones."""


def read(data: bytes) -> None:
    for long, piece in _SIZES:
        with _sizes(long, piece):
            _read(data, long)


@contextmanager
def _sizes(long: int, piece: int) -> Iterator[None]:
    before = push_body.LONG, push_body.PIECE
    push_body.LONG, push_body.PIECE = long, piece
    try:
        yield
    finally:
        push_body.LONG, push_body.PIECE = before


def _read(data: bytes, long: int) -> None:
    try:
        titles = pushed_titles("alice/nginx", data)
    except Malformed:
        assert b"\\" * 64 in data, "so small a body costs nothing"
        assert b"" == pushed_archive(data)
        return
    archive = pushed_archive(data)
    whole, around = _loaded(data), _loaded(_without(data, long))
    if around is None:
        assert titles == (), "of what is no JSON text around its long strings"
        assert archive == b""
        return
    if whole is not None:
        assert titles in ((), _titles(whole))
        assert titles or not _titles(whole) or _is_long(whole, long)
        expected = _package(whole)
        assert archive == expected


def _loaded(data: bytes) -> Any:
    with suppress(orjson.JSONDecodeError):
        return (orjson.loads(data),)
    return None


def _without(data: bytes, long: int) -> bytes:
    """Each long string is another, short one."""

    def short(found: re.Match[bytes]) -> bytes:
        return b'"#"' if len(found[1]) > long else found[0]

    return _STRING.sub(short, data)


def _titles(whole: Any) -> tuple[str, ...]:
    try:
        title = read_title("alice/nginx", whole[0]["release"], whole[0].get("media_type") or "kpm")
    except (LookupError, TypeError, AttributeError, NotTheShape):
        return ()
    return title, any_title_of(title)


def _is_long(whole: Any, long: int) -> bool:
    """What names the release is as long as a package is."""
    return any(6 * len(str(whole[0].get(name))) > long for name in ("release", "media_type"))


def _package(whole: Any) -> bytes:
    """What stands before the padding, as Python reads it, and so the genuine servers."""
    try:
        coded, padding, _ = whole[0]["blob"].encode("ascii").partition(b"=")
        return base64.b64decode(coded + 2 * padding)
    except (LookupError, TypeError, ValueError, AttributeError):
        return b""
