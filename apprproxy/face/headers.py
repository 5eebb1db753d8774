"""The header fields that say how an answer came about, and whether the client has it already."""

import math
import re

from apprproxy.core.digest import Digest
from apprproxy.core.model import Cache, Verdict

NAMES = "no-cache"
"""Cache-Control of names: kept by whoever likes, asked about every time."""
DIGESTS = "private, immutable"

_MOST = 64
"""Directives that are read. There is room for sixty thousand, and nobody else has a turn meanwhile."""


def cache_status(verdict: Verdict) -> str:
    """Cache-Status (RFC 9211, section 2), appended to that of the caches before us."""
    parts = ["apprproxy", *_parameters(verdict)]
    if verdict.detail is not None and verdict.detail != "refreshing":
        parts.append(f"detail={verdict.detail}")
    own = "; ".join(parts)
    return f"{verdict.trail}, {own}" if verdict.trail else own


def _parameters(verdict: Verdict) -> list[str]:
    ttl = [f"ttl={math.floor(verdict.ttl)}"] if verdict.ttl is not None else []
    status = [f"fwd-status={verdict.status}"] if verdict.status is not None else []
    stored = ["stored"] if verdict.stored else []
    match verdict.cache:
        case Cache.HIT:
            return ["hit", *ttl]
        case Cache.MISS:
            return ["fwd=uri-miss", *stored]
        case Cache.COLLAPSED:
            return ["fwd=uri-miss", "collapsed"]
        case Cache.REVALIDATED:
            return ["fwd=stale", *status, *stored]
        case Cache.STALE if verdict.detail in ("refreshing", "upstream-slow"):
            return ["hit", *ttl]
        case Cache.STALE:
            return ["fwd=stale", *status]
        case Cache.BYPASS:
            return ["fwd=bypass"]


def about(verdict: Verdict, upstream: str, control: str) -> dict[str, str]:
    """The fields on every answer with content."""
    fields = {"Cache-Status": cache_status(verdict), "Cache-Control": control}
    if upstream:
        fields["Apprproxy-Upstream"] = upstream
    if verdict.age is not None:
        fields["Age"] = str(int(verdict.age))
    return fields


def etag(digest: Digest) -> str:
    return f'"{digest}"'


def matches(field: str | None, tag: str) -> bool:
    """Does If-None-Match name this entity tag? Weak comparison (RFC 9110, section 13.1.2). No tag has a quotation mark
    in it, so that this one is found as it stands, without taking thousands apart."""
    if field is None:
        return False
    return field.strip() == "*" or tag in field


def again(control: str | None, pragma: str | None) -> bool:
    """Does the client want names revalidated (RFC 9111, section 5.2.1.4)?"""
    if control is None:
        return pragma is not None and "no-cache" in pragma.lower()
    return bool(_directives(control) & {"no-cache", "max-age=0"})


def only_held(control: str | None) -> bool:
    """Does the client want what is held, and nothing fetched for it (RFC 9111, section 5.2.1.7)?"""
    return control is not None and "only-if-cached" in _directives(control)


def _directives(control: str) -> set[str]:
    return {directive.strip().lower() for directive in control.split(",", _MOST)}


def passed_by(via: str, hop: str) -> bool:
    """Does Via name this hop (RFC 9110, section 7.6.3)? None is taken apart: there is room for sixty thousand."""
    name = re.escape(hop)  # what stands before it is looked at last: a pattern that begins with text is found at once
    return re.search(rf"{name}(?<![^\s,]{name})\s*(?:,|\Z)", via) is not None
