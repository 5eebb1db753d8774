"""OCI distribution as spoken to an upstream: what to ask, and what the answer means. No I/O.

A tag is resolved by HEAD, and by GET where HEAD is refused, says 404 without a word, or gives no digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, Lied, NotAllowed, Outage
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Descriptor, Expected, Found, NameWant, Write, decimal_size
from apprproxy.core.ports.upstream import Lane, Plan, Reply, Request
from apprproxy.oci.asking import ASK_BY_GET, Asking, length, scope
from apprproxy.oci.lists import Lists
from apprproxy.oci.manifest import ACCEPT, children, is_manifest, media_type, stated_type
from apprproxy.oci.paths import Blob, Manifest, write_path


class OciDialect(Asking):
    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._lists = Lists(upstream)

    def lookup(self, want: NameWant) -> Plan[Found]:
        match want.kind:
            case Kind.TAG:
                return self._tag(want)
            case Kind.TAGS:
                return self._lists.tags(want)
            case Kind.PRESENCE:
                return self._presence(want, write_path(Blob(want.place, want.repository, Digest.parse(want.name))))
            case Kind.MANIFEST_PRESENCE:
                return self._presence(want, write_path(Manifest(want.place, want.repository, Digest.parse(want.name))))
            case Kind.REPOSITORY:
                return self._lists.repository(want)
            case Kind.REFERRERS:
                return self._lists.referrers(want)
            case Kind.CATALOG:
                return self._lists.catalog(want)
            case _:
                raise ValueError(f"{want.kind} is not asked of an OCI registry")

    def blob_request(self, want: BlobWant) -> Request:
        digest = want.expected.digest
        if want.kind is Kind.MANIFEST:
            path, headers = write_path(Manifest(want.place, want.repository, digest)), {"Accept": ACCEPT}
        else:
            path, headers = write_path(Blob(want.place, want.repository, digest)), {"Accept": "*/*"}
        return Request(
            "GET",
            path,
            headers=headers,
            scope=scope(want.repository),
            about=want.repository,
            kind=want.kind.label,
            lane=Lane.BLOBS if want.kind is Kind.BLOB else Lane.NAMES,
        )

    def write(self, write: Write) -> Request:
        raise NotAllowed("pushes to an OCI registry do not pass through this gateway")

    def archive(self, write: Write) -> bytes:
        return b""

    def children(self, body: bytes) -> Sequence[Expected]:
        return children(body)

    def with_digests(self, want: NameWant, body: bytes, digests: Mapping[str, Digest]) -> bytes:
        raise ValueError("a tag's document is fetched by its digest, never edited")

    # --- plans

    def _tag(self, want: NameWant) -> Plan[Found]:
        path = write_path(Manifest(want.place, want.repository, want.name))
        title = f"{want.repository}:{want.name}"
        head = yield self.request("HEAD", path, want)
        digest = self.claimed(head)
        if head.status == 200 and digest is not None:
            target = Descriptor(digest, length(head), stated_type(head.headers.get("content-type", "")))
            return Found(target, manifest=True, titles={title: digest})
        if head.status not in ASK_BY_GET:
            raise self.fault(head)
        reply = yield self.request("GET", path, want)
        if reply.status != 200:
            raise self.fault(reply)
        digest = self.claimed(reply)
        got = Digest.of(reply.body, digest.algorithm if digest else "sha256")
        if digest is not None and digest != got:
            raise DigestMismatch(self._upstream, digest, got)
        if digest is None and not is_manifest(reply.body):
            raise Outage(self._upstream, "sent something for a tag that is no manifest", reply.status)
        target = Descriptor(got, len(reply.body), media_type(reply.body))
        return Found(target, reply.body, manifest=True, titles={title: got})

    def _refuse_other(self, reply: Reply, digest: Digest) -> None:
        """A maintenance page with 200 must not open what others hold; raises Outage or Lied."""
        claimed = self.claimed(reply)
        if claimed is not None and claimed != digest:
            raise Lied(self._upstream, f"answered about {claimed} where {digest} was asked for")
        if claimed is None and reply.headers.get("content-type", "").lower().startswith("text/html"):
            raise Outage(self._upstream, "answered with a page where bytes were asked for", reply.status)

    def _presence(self, want: NameWant, path: str) -> Plan[Found]:
        digest = Digest.parse(want.name)
        head = yield self.request("HEAD", path, want)
        if head.status == 200:
            self._refuse_other(head, digest)
            return Found(Descriptor(digest, length(head), "application/octet-stream"))
        if head.status not in ASK_BY_GET:
            raise self.fault(head)
        reply = yield replace(self.request("GET", path, want, {"Range": "bytes=0-0"}), headers_only=True)
        if reply.status not in (200, 206):
            raise self.fault(reply)
        self._refuse_other(reply, digest)
        total = reply.headers.get("content-range", "").rpartition("/")[2]
        size = decimal_size(total)
        return Found(Descriptor(digest, length(reply) if size is None else size, "application/octet-stream"))
