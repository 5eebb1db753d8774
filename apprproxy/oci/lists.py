"""Lists as an upstream is asked for them: tags, the catalog, referrers; all pages, within bounds. No I/O."""

import re
from urllib.parse import urljoin, urlsplit

import orjson

from apprproxy.core.digest import Digest
from apprproxy.core.documents import MAX_VALUES, NotADocument, fields, spelt, values
from apprproxy.core.errors import DigestMismatch, NotOffered, NotThere, Outage
from apprproxy.core.model import MAX_DOCUMENT, Descriptor, Found, NameWant
from apprproxy.core.ports.upstream import Plan
from apprproxy.oci import referrers
from apprproxy.oci.asking import ASK_BY_GET, JSON, Asking
from apprproxy.oci.manifest import INDEX
from apprproxy.oci.paths import Catalog, Manifest, Referrers, Tags, write_path

MAX_PAGES = 200
PAGE = 1000
"""Names of a catalog asked for at once: as many as distribution gives unless told otherwise, where a registry that is
not asked may give a hundred, and 100,000 repositories would be a thousand requests."""
MAX_NAMES = 200_000
"""Of a list: the largest registries have about as many. A million fit into its bytes, and to sort them is a second in
which nobody else has a turn."""
_NEXT = re.compile(r'<([^<>]{0,2000})>[ \t]*;[^,<]{0,200}\brel="?next\b')
_MAX_LINK = 4096
_NOT_OFFERED = {404, 405, 501}
"""Statuses of an end point that is lacking, whatever the body: distribution answers text/plain."""


class Lists(Asking):
    def tags(self, want: NameWant) -> Plan[Found]:
        pages = yield from self._pages(write_path(Tags(want.place, want.repository)), want)
        return self._names(pages, "tags", {"name": want.repository})

    def repository(self, want: NameWant) -> Plan[Found]:
        """Has it a tag at all? One that has none is as good as not there."""
        path = write_path(Tags(want.place, want.repository))
        reply = yield self.request("GET", path, want, query="n=1")
        if reply.status == 400:
            reply = yield self.request("GET", path, want)
        if reply.status != 200:
            raise self.fault(reply)
        if not self._entries(reply.body, "tags"):
            raise NotThere(self._upstream, f"has no tag in {want.repository}")
        return Found(Descriptor(Digest.of(reply.body), len(reply.body), JSON))

    def catalog(self, want: NameWant) -> Plan[Found]:
        """Many registries do not offer it, and say so in as many ways."""
        pages = yield from self._pages(write_path(Catalog(want.place)), want, optional=True, query=f"n={PAGE}")
        return self._names(pages, "repositories", {})

    def referrers(self, want: NameWant) -> Plan[Found]:
        """The end point's answer; the fallback tag's where there is none; and where nobody refers to the subject, an
        empty index only if the subject itself is there, so that in a view another member is asked for it."""
        subject = Digest.parse(want.name)
        try:
            path = write_path(Referrers(want.place, want.repository, subject))
            pages = yield from self._pages(path, want, optional=True)
        except NotOffered:
            pages = [(yield from self._tagged(want, subject))]
        index = self._joined(pages)
        if not referrers.count(index):
            yield from self._require(Manifest(want.place, want.repository, subject), want)
        return Found(Descriptor(Digest.of(index), len(index), INDEX), index)

    def _pages(self, path: str, want: NameWant, *, optional: bool = False, query: str = "") -> Plan[list[bytes]]:
        """``query`` is what the first page is asked by. Raises NotOffered where an end point is lacking that may be."""
        pages: list[bytes] = []
        count = 0
        for _ in range(MAX_PAGES):
            reply = yield self.request("GET", path, want, query=query)
            if reply.status == 400 and query and not pages:  # no page of that size: then of whatever size it likes
                reply = yield self.request("GET", path, want)
            if optional and not pages and reply.status in _NOT_OFFERED:
                raise NotOffered(self._upstream, f"offers no {want.kind}", reply.status)
            if reply.status != 200:
                raise self.fault(reply)
            pages.append(reply.body)
            if sum(map(len, pages)) > MAX_DOCUMENT:
                raise Outage(self._upstream, f"has a list of more than {MAX_DOCUMENT} bytes")
            count += values(reply.body)
            if count > MAX_VALUES:  # of all pages, as of a single one: it is they that take time
                raise Outage(self._upstream, f"has a list of more than {MAX_VALUES} values")
            following = _NEXT.search(reply.headers.get("link", "")[:_MAX_LINK])
            if following is None:
                return pages
            query = self._next_page(path, following[1])
        raise Outage(self._upstream, f"has a list of more than {MAX_PAGES} pages")

    def _next_page(self, path: str, link: str) -> str:
        """The query of the next page; a Link leads to another page of the same list or nowhere."""
        try:
            parts = urlsplit(urljoin(path, link))
        except ValueError:
            raise Outage(self._upstream, "links to a next page that is no URL") from None
        if parts.path != path or not parts.query.isascii() or not parts.query.isprintable() or " " in parts.query:
            raise Outage(self._upstream, "links to a next page that is not of this list")
        return parts.query

    def _entries(self, body: bytes, field: str) -> list[str]:
        self._bound(body.count(b","))  # no name has one: told before a million are read
        try:
            entries, raw = spelt(fields(body), field).get(field, ((), b""))
        except NotADocument as error:
            raise Outage(self._upstream, f"sent a list that is {error}", 200) from None
        if raw == b"null":
            return []  # some registries say so for none
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise Outage(self._upstream, f"sent a list without {field}", 200)
        return entries

    def _names(self, pages: list[bytes], field: str, besides: dict[str, str]) -> Found:
        """A single page as it came; several as one document."""
        entries: list[str] = []
        for page in pages:
            entries += self._entries(page, field)
            self._bound(len(entries))
        body = pages[0] if len(pages) == 1 else orjson.dumps({**besides, field: entries})
        return Found(Descriptor(Digest.of(body), len(body), JSON), body, empty=not entries)

    def _bound(self, names: int) -> None:
        if names > MAX_NAMES:
            raise Outage(self._upstream, f"has a list of more than {MAX_NAMES} names", 200)

    # --- referrers

    def _tagged(self, want: NameWant, subject: Digest) -> Plan[bytes]:
        """An outage here must not look like an empty index, which would hide signatures."""
        tag = referrers.fallback_tag(subject)
        reply = yield self.request("GET", write_path(Manifest(want.place, want.repository, tag)), want)
        if reply.status != 200:
            fault = self.fault(reply)
            if isinstance(fault, NotThere) and fault.passes_on:
                return referrers.EMPTY
            raise fault
        digest = self.claimed(reply)
        if digest is not None and digest != (got := Digest.of(reply.body, digest.algorithm)):
            raise DigestMismatch(self._upstream, digest, got)
        return reply.body

    def _joined(self, pages: list[bytes]) -> bytes:
        try:
            return referrers.joined(pages)
        except referrers.NotAnIndex as error:
            raise Outage(self._upstream, f"sent referrers that are none: {error}", 200) from None

    def _require(self, manifest: Manifest, want: NameWant) -> Plan[None]:
        """Raises NotThere where the upstream has no such manifest; what HEAD leaves open, GET tells."""
        path = write_path(manifest)
        reply = yield self.request("HEAD", path, want)
        if reply.status in ASK_BY_GET - {200}:
            reply = yield self.request("GET", path, want)
        if reply.status != 200:
            raise self.fault(reply)
