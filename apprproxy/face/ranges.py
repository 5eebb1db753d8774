"""Byte ranges (RFC 9110, section 14): one range or the whole; what is malformed or multiple is ignored."""

import re

from apprproxy.gateway.delivery.delivery import Span

_ONE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
_MAX_FIELD = 100


class Unsatisfiable(ValueError):
    """Well formed, and outside the content: 416."""


def parse_range(field: str | None, size: int) -> Span | None:
    """The part asked for, None for the whole; raises Unsatisfiable."""
    match = _single(field)
    if match is None:
        return None
    first, last = match[1], match[2]
    if not first:
        if not last:
            return None
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Span(int(first), min(int(last) + 1, size) if last else size)


def closed_range(field: str | None) -> Span | None:
    """A range that says where it ends, told before the size is known."""
    match = _single(field)
    if match is None or not match[1] or not match[2] or int(match[2]) < int(match[1]):
        return None
    return Span(int(match[1]), int(match[2]) + 1)


def _single(field: str | None) -> re.Match[str] | None:
    return _ONE.fullmatch(re.sub(r"[ \t]", "", field)) if field and len(field) <= _MAX_FIELD else None
