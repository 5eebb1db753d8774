"""Which host a client takes us for: the target's own where it has one, else the Host field (RFC 9112, section 3.2)."""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

from apprproxy.core.errors import Denied, Malformed
from apprproxy.core.host import Host, MalformedHost
from apprproxy.face.target import origin_form

_NOBODYS = re.compile(r"\[.*\]|[0-9.]+|(?:.*\.)?localhost|[^.]+")
"""Addresses and names of one label: of a domain its owner says where it leads."""


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


def refuse_foreign(raw: str, fields: Sequence[str], known: AbstractSet[Host]) -> None:
    """Raises Denied where the host is a domain that is none of the ``known``. Any page may say that its own has our
    address, and its browser then lets it read whatever it asks us for (DNS rebinding). Browsers always name a host."""
    host = asked_host(raw, fields)
    if host is None:
        ours = not "".join(fields).strip()
    else:
        ours = _NOBODYS.fullmatch(host.name) is not None or host in known or host.anywhere in known
    if not ours:
        raise Denied(
            f"{str(host or fields[0])[:300]!r} is no host of this gateway's, and any web page can make itself one: some"
            " upstream's account is not shared (auth.share). Use an address or localhost, or name it in a view's hosts"
        )


def _authority(raw: str) -> str:
    try:
        return urlsplit(raw).netloc
    except ValueError:  # brackets that do not match
        return ""
