"""OCI distribution as spoken to an upstream: what to ask, and what the answer means. No I/O.

- A tag is resolved by HEAD, and by GET where HEAD is refused, says 404 without a word, or gives no digest.
- A 404 is an authoritative *no* only with an OCI error code; a load balancer's page is an outage.
"""

import re
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import orjson

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Denied, DigestMismatch, Lied, NotAllowed, NotThere, Outage, UpstreamFault
from apprproxy.core.model import MAX_DOCUMENT, BlobWant, Descriptor, Found, Kind, NameWant, Write
from apprproxy.core.ports import Plan, Reply, Request
from apprproxy.oci.manifest import ACCEPT, is_manifest, media_type, stated_type
from apprproxy.oci.paths import Blob, Manifest, Tags, write_path

MAX_PAGES = 200
_JSON = "application/json"
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next\b')
_NO_WORD = {"DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS", "UNAVAILABLE", "UNKNOWN", "UNSUPPORTED"}
"""Codes that do not say whether there is such a thing, whatever the status."""
_ASK_BY_GET = {200, 400, 404, 405, 501}
"""Answers to HEAD that leave the question open: no digest, no body, or HEAD refused."""


class OciDialect:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    def lookup(self, want: NameWant) -> Plan[Found]:
        match want.kind:
            case Kind.TAG:
                return self._tag(want)
            case Kind.TAGS:
                return self._tags(want)
            case Kind.PRESENCE:
                return self._presence(want)
            case _:
                raise ValueError(f"{want.kind} is not asked of an OCI registry")

    def source(self, want: BlobWant) -> Request:
        digest = want.expected.digest
        if want.kind is Kind.MANIFEST:
            path, headers = write_path(Manifest(want.place, want.repository, digest)), {"Accept": ACCEPT}
        else:
            path, headers = write_path(Blob(want.place, want.repository, digest)), {"Accept": "*/*"}
        return Request(
            "GET",
            path,
            headers=headers,
            scope=_scope(want.repository),
            kind=want.kind.label,
            bulk=want.kind is Kind.BLOB,
        )

    def judge(self, reply: Reply) -> UpstreamFault | None:
        if reply.status in (200, 206):
            return None
        code, message = _error(reply.body)
        if reply.status == 403 and code:
            return Denied(self._upstream, f"denies it: {code} {message}".rstrip(), 403)
        if reply.status in (400, 404) and code and code not in _NO_WORD:
            return NotThere(self._upstream, f"says {code}: {message}" if message else f"says {code}", 404)
        return Outage(self._upstream, f"answered {reply.status} that is no OCI answer", reply.status)

    def write(self, write: Write) -> Request:
        raise NotAllowed("pushes to an OCI registry do not pass through this gateway")

    def hold(self, want: NameWant, body: bytes, pins: Mapping[str, Digest]) -> bytes:
        raise ValueError("a tag's document is fetched by its digest, never edited")

    # --- plans

    def _tag(self, want: NameWant) -> Plan[Found]:
        path = write_path(Manifest(want.place, want.repository, want.name))
        pin = f"{want.repository}:{want.name}"
        head = yield self._request("HEAD", path, want)
        digest = self._digest(head)
        if head.status == 200 and digest is not None:
            target = Descriptor(digest, _length(head), stated_type(head.headers.get("content-type", "")))
            return Found(target, manifest=True, pins={pin: digest})
        if head.status not in _ASK_BY_GET:
            raise self._fault(head)
        reply = yield self._request("GET", path, want)
        if reply.status != 200:
            raise self._fault(reply)
        digest = self._digest(reply)
        got = Digest.of(reply.body, digest.algorithm if digest else "sha256")
        if digest is not None and digest != got:
            raise DigestMismatch(self._upstream, digest, got)
        if digest is None and not is_manifest(reply.body):
            raise Outage(self._upstream, "sent something for a tag that is no manifest", reply.status)
        target = Descriptor(got, len(reply.body), media_type(reply.body))
        return Found(target, reply.body, manifest=True, pins={pin: got})

    def _presence(self, want: NameWant) -> Plan[Found]:
        digest = Digest.parse(want.name)
        path = write_path(Blob(want.place, want.repository, digest))
        head = yield self._request("HEAD", path, want)
        if head.status == 200:
            return Found(Descriptor(digest, _length(head), "application/octet-stream"))
        if head.status not in _ASK_BY_GET:
            raise self._fault(head)
        reply = yield self._request("GET", path, want, {"Range": "bytes=0-0"})
        if reply.status not in (200, 206):
            raise self._fault(reply)
        total = reply.headers.get("content-range", "").rpartition("/")[2]
        size = int(total) if total.isdecimal() else _length(reply)
        return Found(Descriptor(digest, size, "application/octet-stream"))

    def _tags(self, want: NameWant) -> Plan[Found]:
        path = write_path(Tags(want.place, want.repository))
        tags: list[str] = []
        query, only, size = "", b"", 0
        for page in range(MAX_PAGES):
            reply = yield self._request("GET", path, want, query=query)
            if reply.status != 200:
                raise self._fault(reply)
            tags += self._tag_names(reply.body)
            size += len(reply.body)
            if size > MAX_DOCUMENT:
                raise Outage(self._upstream, f"has a tag list of more than {MAX_DOCUMENT} bytes")
            following = _NEXT.search(reply.headers.get("link", ""))
            if following is None:
                only = reply.body if page == 0 else b""
                break
            query = self._next_page(path, following[1])
        else:
            raise Outage(self._upstream, f"has more than {MAX_PAGES} pages of tags")
        body = only or orjson.dumps({"name": want.repository, "tags": tags})
        return Found(Descriptor(Digest.of(body), len(body), _JSON), body)

    def _next_page(self, path: str, link: str) -> str:
        """The query of the next page; a Link leads to another page of the same list or nowhere."""
        parts = urlsplit(urljoin(path, link))
        if parts.path != path or not parts.query.isascii() or not parts.query.isprintable() or " " in parts.query:
            raise Outage(self._upstream, "links to a next page that is not of this list")
        return parts.query

    def _tag_names(self, body: bytes) -> list[str]:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Outage(self._upstream, "sent a tag list that is not JSON", 200) from None
        tags = answer.get("tags") if isinstance(answer, dict) else None
        if tags is None and isinstance(answer, dict) and "tags" in answer:
            return []  # some registries say null for none
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Outage(self._upstream, "sent a tag list without tags", 200)
        return tags

    def _request(
        self, method: str, path: str, want: NameWant, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Request:
        accept = _JSON if want.kind is Kind.TAGS else ACCEPT if want.kind is Kind.TAG else "*/*"
        return Request(
            method,
            path,
            query,
            headers={"Accept": accept, **(headers or {})},
            scope=_scope(want.repository),
            kind=want.kind.label,
        )

    def _digest(self, reply: Reply) -> Digest | None:
        claimed = reply.headers.get("docker-content-digest", "")
        if not claimed or reply.status != 200:
            return None
        try:
            return Digest.parse(claimed)
        except MalformedDigest:
            raise Lied(self._upstream, "sent a Docker-Content-Digest that is no digest") from None

    def _fault(self, reply: Reply) -> UpstreamFault:
        return self.judge(reply) or Outage(self._upstream, f"answered {reply.status}", reply.status)


def _scope(repository: str) -> str:
    return f"repository:{repository}:pull"


def _length(reply: Reply) -> int:
    text = reply.headers.get("content-length", "")
    return int(text) if text.isdecimal() else -1


def _error(body: bytes) -> tuple[str, str]:
    """The first error's code and message (distribution specification, "Error codes"); empty where there is none."""
    try:
        first = orjson.loads(body)["errors"][0]
        code, message = first["code"], first.get("message")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return "", ""
    if not isinstance(code, str) or not re.fullmatch(r"[A-Z_]{1,40}", code):
        return "", ""
    return code, message[:200] if isinstance(message, str) else ""
