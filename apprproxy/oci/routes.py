"""The OCI face: ``/v2/`` as containerd, docker, helm, oras and the others ask for it."""

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import assert_never
from urllib.parse import urlencode

from aiohttp import web
from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Failure, NotAllowed, Outage
from apprproxy.core.kind import Kind
from apprproxy.core.model import KIB, BlobWant, Expected, NameWant
from apprproxy.core.ports.store import Held
from apprproxy.core.reading import content, if_short
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import DIGESTS, NAMES, etag
from apprproxy.face.large import SMALL, Large
from apprproxy.face.places import Places
from apprproxy.face.ranges import closed_range
from apprproxy.face.send import asked_range, send_body, send_empty, send_named, send_refusal, send_transfer
from apprproxy.face.status import status_of
from apprproxy.face.surveyed import sum_up
from apprproxy.gateway.gateway import Gateway
from apprproxy.oci.catalogs import Catalogs, written
from apprproxy.oci.errors import error_body
from apprproxy.oci.manifest import INDEX, media_type
from apprproxy.oci.paging import asked_page, paged, size
from apprproxy.oci.paths import Blob, Catalog, Manifest, Ping, Referrers, Tags, parse_path
from apprproxy.oci.referrers import EMPTY, NotAnIndex, filtered
from apprproxy.oci.tag_lists import TagLists

API = {"Docker-Distribution-Api-Version": "registry/2.0"}
_JSON = {**API, "Content-Type": "application/json"}
_MOST_REPEATED = 2 * KIB
"""Characters of a query of which a link to the next page says more than what is read here: it may be three times as
long, which no client takes."""


class OciFace:
    name = "oci"

    def __init__(self, gateway: Gateway, places: Places, large: Large) -> None:
        self._gateway = gateway
        self._places = places
        self._large = large
        self._media_types: LRUCache[Digest, str] = LRUCache(4096)
        self._catalogs = Catalogs(gateway.admits, large)
        self._tag_lists = TagLists(large)

    def claims(self, path: str) -> bool:
        return path == "/v2" or path.startswith("/v2/")

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.reading:
            raise NotAllowed("this gateway takes no pushes: push to the upstream registry itself")
        host = exchange.target.get("ns")
        if host is not None:
            self._places.hosting(host)  # before a client's text becomes a header field
            exchange.fields["OCI-Namespace"] = host.lower()
        path = parse_path(exchange.target.segments[1:], self._places.at(exchange.host), host)
        match path:
            case Ping():
                return await send_body(exchange, 200, b"{}", _JSON)
            case Manifest():
                return await self._manifest(exchange, path)
            case Blob():
                return await self._blob(exchange, path)
            case Tags():
                return await self._tags(exchange, path)
            case Referrers():
                return await self._referrers(exchange, path)
            case Catalog():
                return await self._catalog(exchange, path)
            case _:
                assert_never(path)

    async def refuse(self, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        return await send_refusal(exchange, failure, error_body(failure, exchange.kind), _JSON)

    async def _manifest(self, exchange: Exchange, path: Manifest) -> web.StreamResponse:
        if isinstance(path.reference, Digest):
            exchange.kind, exchange.name = Kind.MANIFEST, f"{path.repository}@{path.reference}"
            want = BlobWant(path.place, path.repository, Expected(path.reference), Kind.MANIFEST)
            transfer = await self._gateway.blob(want, whole=True, only_held=exchange.only_held)
            headers = await self._manifest_headers(transfer.origin, await transfer.held())
            return await send_transfer(exchange, transfer, DIGESTS, headers)
        exchange.kind, exchange.name = Kind.TAG, f"{path.repository}:{path.reference}"
        name = NameWant(path.place, Kind.TAG, path.repository, path.reference)
        named = await self._gateway.lookup(name, again=exchange.again)
        headers = await self._manifest_headers(named.record.origin, named.document)
        return await send_named(exchange, named, NAMES, headers)

    async def _manifest_headers(self, upstream: str, document: Held) -> dict[str, str]:
        digest = document.digest
        kind = self._media_types.get(digest)
        if kind is None:
            kind = self._media_types[digest] = await self._gateway.read(upstream, document, media_type)
        return {**API, "Content-Type": kind, "Docker-Content-Digest": str(digest)}

    async def _blob(self, exchange: Exchange, path: Blob) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.BLOB, f"{path.repository}@{path.digest}"
        want = BlobWant(path.place, path.repository, Expected(path.digest))
        headers = {**API, "Content-Type": "application/octet-stream", "Docker-Content-Digest": str(path.digest)}
        if exchange.method == "HEAD" and not (exchange.only_held or await self._gateway.holds(want)):
            return await self._blob_head(exchange, want, headers)
        span = closed_range(asked_range(exchange, etag(path.digest)))
        only_held = exchange.only_held
        transfer = await self._gateway.blob(want, whole=exchange.old_http, span=span, only_held=only_held)
        return await send_transfer(exchange, transfer, DIGESTS, headers, tag=etag(path.digest))

    async def _blob_head(self, exchange: Exchange, want: BlobWant, headers: dict[str, str]) -> web.StreamResponse:
        """What is not held is not fetched for a HEAD: its owner is asked."""
        named = await self._gateway.lookup(want.presence, again=exchange.again)
        headers |= exchange.found(named.verdict, named.record.origin, DIGESTS)
        headers["ETag"] = etag(want.expected.digest)
        if named.record.target.size >= 0:
            headers["Content-Length"] = str(named.record.target.size)
        return await send_empty(exchange, 200, {**headers, "Accept-Ranges": "bytes"})

    async def _tags(self, exchange: Exchange, path: Tags) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.TAGS, path.repository
        page = asked_page(exchange.target)
        named = await self._gateway.lookup(NameWant(path.place, Kind.TAGS, path.repository), again=exchange.again)
        if page is None:
            return await send_named(exchange, named, NAMES, _JSON)
        part = await self._tag_lists.page(named.record.origin, named.document, page)
        found = exchange.found(named.verdict, named.record.origin, NAMES)
        headers = {**found, **_JSON, **_next_page(exchange, part.more)}
        key = ("tags", named.document.digest, page)
        async with self._page(named.record.origin, key, part.size, part.written) as body:
            return await send_body(exchange, 200, body, headers)

    @asynccontextmanager
    async def _page(self, whose: str, key: Hashable, size: int, write: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """A small one is written at once: most are, and behind what others have taken apart it would wait for seconds.
        Raises Crowded."""
        if size <= SMALL:
            yield write()
        else:
            async with self._large.body(whose, key, size, write) as body:
                yield body

    async def _referrers(self, exchange: Exchange, path: Referrers) -> web.StreamResponse:
        """Of a subject that nobody has there are none, which is no failure (conformance asks for 200)."""
        exchange.kind, exchange.name = Kind.REFERRERS, f"{path.repository}@{path.subject}"
        want = NameWant(path.place, Kind.REFERRERS, path.repository, str(path.subject))
        artifact_type = exchange.target.get("artifactType")
        headers = {**API, "Content-Type": INDEX, **({"OCI-Filters-Applied": "artifactType"} if artifact_type else {})}
        try:
            named = await self._gateway.lookup(want, again=exchange.again)
        except Exhausted as failed:
            if status_of(failed) != 404:
                raise
            return await send_body(exchange, 200, EMPTY, {**headers, "Cache-Control": NAMES})
        if not artifact_type:
            return await send_named(exchange, named, NAMES, headers)
        headers |= exchange.found(named.verdict, named.record.origin, NAMES)
        document = named.document
        key = ("referrers", document.digest, artifact_type)
        try:
            if (short := await if_short(document)) is not None:
                return await send_body(exchange, 200, filtered(short, artifact_type), headers)

            def made() -> bytes:
                return filtered(content(document), artifact_type)

            async with self._large.body(named.record.origin, key, document.size, made) as body:
                return await send_body(exchange, 200, body, headers)
        except NotAnIndex as error:  # it was taken by a version that was less strict
            sent = Outage(named.record.origin, f"sent, some time ago, referrers that are none: {error}")
            raise Exhausted([sent]) from error

    async def _catalog(self, exchange: Exchange, path: Catalog) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.CATALOG, "_catalog"
        page = asked_page(exchange.target)
        lists = sum_up(await self._gateway.survey(NameWant(path.place, Kind.CATALOG), again=exchange.again))
        headers = {**exchange.found(lists.verdict, lists.upstreams, NAMES), **_JSON, **lists.partial}
        if page is None:
            async with self._catalogs.whole(path.place.name, lists) as body:
                return await send_body(exchange, 200, body, headers)
        names, more = paged(await self._catalogs.merged(path.place.name, lists), page)
        key = ("catalog", lists.key, page)
        async with self._page(path.place.name, key, size(names), lambda: written(names)) as body:
            return await send_body(exchange, 200, body, {**headers, **_next_page(exchange, more)})


def _next_page(exchange: Exchange, more: str | None) -> dict[str, str]:
    """A Link that leads back here, with what the client asked by kept in it."""
    if more is None:
        return {}
    path, _, asked = exchange.request.raw_path.partition("?")
    kept = [(key, value) for key, value in exchange.target.query if key not in ("n", "last")]
    if len(asked) > _MOST_REPEATED:
        kept = [("ns", host)] if (host := exchange.target.get("ns")) is not None else []
    query = "&".join([more, urlencode(kept)] if kept else [more])
    return {"Link": f'<{path}?{query}>; rel="next"'}
