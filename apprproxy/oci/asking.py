"""A request to an OCI registry, and what its answer means, whatever is asked.

A 404 is an authoritative *no* only with an OCI error code; a load balancer's page is an outage.
"""

import re
from collections.abc import Mapping

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.documents import NotADocument, parsed
from apprproxy.core.errors import Lied, NotThere, Outage, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, decimal_size
from apprproxy.core.ports.upstream import Reply, Request
from apprproxy.oci.manifest import ACCEPT

JSON = "application/json"
ASK_BY_GET = {200, 400, 403, 404, 405, 501}
"""Answers to HEAD that leave the question open: no digest, no words of the protocol's, or HEAD refused."""
_NO_WORD = {"DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS", "UNAVAILABLE", "UNKNOWN", "UNSUPPORTED"}
"""Codes that do not say whether there is such a thing, whatever the status."""


_NO_SUCH_NAME = {"NAME_INVALID", "NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "TAG_INVALID", "DIGEST_INVALID"}
"""Codes with which a 400 says that there can be no such thing."""


class Asking:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    def judge(self, reply: Reply) -> UpstreamFault | None:
        """What an answer other than the one hoped for means; None for a success."""
        if reply.status in (200, 206):
            return None
        code, message = _error(reply.body)
        if reply.status == 403 and code:
            return NotThere(self._upstream, f"denies it: {code} {message}".rstrip(), 403)
        no = code not in _NO_WORD if reply.status == 404 else reply.status == 400 and code in _NO_SUCH_NAME
        if code and no:
            return NotThere(self._upstream, f"says {code}: {message}" if message else f"says {code}", 404)
        return Outage(self._upstream, _failure(reply.status, code), reply.status)

    def request(
        self, method: str, path: str, want: NameWant, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Request:
        accept = {Kind.TAGS: JSON, Kind.REPOSITORY: JSON, Kind.CATALOG: JSON, Kind.PRESENCE: "*/*"}.get(
            want.kind, ACCEPT
        )
        return Request(
            method,
            path,
            query,
            headers={"Accept": accept, **(headers or {})},
            scope=scope(want.repository) if want.repository else "registry:catalog:*",
            about=want.about,
            kind=want.kind.label,
        )

    def claimed(self, reply: Reply) -> Digest | None:
        """The digest that an answer says it has, if it says so; raises Lied."""
        claimed = reply.headers.get("docker-content-digest", "")
        if not claimed or reply.status != 200:
            return None
        try:
            return Digest.parse(claimed)
        except MalformedDigest:
            raise Lied(self._upstream, "sent a Docker-Content-Digest that is no digest") from None

    def fault(self, reply: Reply) -> UpstreamFault:
        return self.judge(reply) or Outage(self._upstream, f"answered {reply.status}", reply.status)


def scope(repository: str) -> str:
    """Of a token that lets us read there."""
    return f"repository:{repository}:pull"


def length(reply: Reply) -> int:
    """-1 where it is not told."""
    text = reply.headers.get("content-length", "")
    size = decimal_size(text)
    return -1 if size is None else size


def _failure(status: int, code: str) -> str:
    """Of its words only codes that are known: each that is made up would be told as another trouble. None of a 500,
    which is told as one trouble however it was asked: an answer to HEAD has no words."""
    if status >= 500:
        return f"answered {status}"
    return f"answered {status}, {code}" if code in _NO_WORD else f"answered {status} that is no OCI answer"


def _error(body: bytes) -> tuple[str, str]:
    """The first error's code and message (distribution specification, "Error codes"); empty where there is none."""
    try:
        first = parsed(body)["errors"][0]
        code, message = first["code"], first.get("message")
    except (NotADocument, LookupError, TypeError, AttributeError):
        return "", ""
    if not isinstance(code, str) or not re.fullmatch(r"[A-Z_]{1,40}", code):
        return "", ""
    return code, message[:200] if isinstance(message, str) else ""
