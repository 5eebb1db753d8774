"""Which host a client takes us for: the target's own where it has one, else the Host field (RFC 9112, section 3.2)."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from apprproxy.core.errors import Malformed
from apprproxy.core.host import Host, MalformedHost
from apprproxy.face.target import origin_form


def asked_host(raw: str, fields: Sequence[str]) -> Host | None:
    """None where none is named, or something that is no host: then nobody's name is meant. ``raw`` is the request
    target, ``fields`` are all Host fields; raises Malformed where they are several, which two readers could read in
    two ways."""
    if len(fields) > 1:
        raise Malformed("the request has several Host fields")
    named = _authority(raw) if origin_form(raw) != raw else "".join(fields)
    try:
        return Host.parse(named.strip())
    except MalformedHost:
        return None


def _authority(raw: str) -> str:
    try:
        return urlsplit(raw).netloc
    except ValueError:  # brackets that do not match
        return ""
