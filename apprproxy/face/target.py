"""A request target parsed from the raw bytes of the request line.

Framework routers decode ``%2F`` before they match, so that one path can mean two things on its way through; here a path
is split first and decoded after, and whatever could be read in two ways is refused.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from apprproxy.core.errors import Malformed

_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f]")
_MAX_FIELDS = 64
_MAX_SEGMENTS, _MAX_ESCAPES = 256, 2048
"""A name of 255 characters has half as many segments, and a text of 1,024 as many escapes. Ten thousand of either would
take some milliseconds, in which nobody else has a turn."""


@dataclass(frozen=True, slots=True)
class Target:
    """``segments`` are decoded; a trailing slash is one empty segment at the end. ``query`` keeps order and repeats."""

    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str | None:
        """The first value of a query field."""
        return next((value for key, value in self.query if key == name), None)


def origin_form(raw: str) -> str:
    """The target without scheme and host, where it has them (RFC 9112, section 3.2.2)."""
    match = _HOST.match(raw)
    return raw if match is None else raw[match.end() :] or "/"


def parse_target(raw: str) -> Target:
    """Read ``/path?query`` or the absolute form (RFC 9112, section 3.2); raises Malformed."""
    if not raw.isascii():
        raise Malformed("the request target has bytes that are not ASCII")
    if raw.count("%") > _MAX_ESCAPES:
        raise Malformed("the request target has more percent escapes than any name")
    raw = origin_form(raw)
    if not raw.startswith("/"):
        raise Malformed("the request target is neither a path nor a URL")
    path, _, query = raw.partition("#")[0].partition("?")
    return Target(tuple(_decode(segment) for segment in _split(path)), _fields(query))


def _split(path: str) -> list[str]:
    if path.count("/") > _MAX_SEGMENTS:
        raise Malformed("the path has more segments than any name")
    segments = path[1:].split("/")
    if "" in segments[:-1]:
        raise Malformed("the path has an empty segment")
    return segments


def _decode(segment: str) -> str:
    if _ESCAPE.search(segment):
        raise Malformed("the path has a broken percent escape")
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Malformed("the path is not UTF-8") from None
    if text in (".", "..") or _FORBIDDEN.search(text):
        raise Malformed("the path has a dot segment, an encoded slash, a backslash or a control character")
    return text


def _fields(query: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise Malformed("the query is not UTF-8, or has too many fields") from None
