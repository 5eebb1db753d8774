"""The App Registry face: ``…/cnr/api/v1`` as appr, the Helm plugin and the operator tools ask for it."""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, assert_never

import orjson
from aiohttp import web
from cachetools import LRUCache

from apprproxy.appregistry import shapes
from apprproxy.appregistry.errors import error_body
from apprproxy.appregistry.forwarding import Forwarding
from apprproxy.appregistry.merge import Entry, matching, merged_documents, written
from apprproxy.appregistry.paths import (
    Blob,
    Channels,
    Package,
    Packages,
    Pull,
    Release,
    Search,
    Version,
    parse_path,
    release_want,
)
from apprproxy.appregistry.shapes import PackageManifest
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Failure, NotThere, Outage
from apprproxy.core.kind import Kind
from apprproxy.core.model import KIB, BlobWant, Cache, Expected, NameWant, Place
from apprproxy.core.ports.store import Held
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import DIGESTS, NAMES
from apprproxy.face.large import Large
from apprproxy.face.places import Places
from apprproxy.face.send import (
    read_piece,
    send_body,
    send_named,
    send_pieces,
    send_refusal,
    send_transfer,
)
from apprproxy.face.surveyed import sum_up
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.names.lookup import Named
from apprproxy.gateway.names.views import Answer
from apprproxy.gateway.transfer import Transfer

_JSON = {"Content-Type": "application/json"}
_CODED = 24 * KIB
"""Of a package, coded at a time, and held while the client takes it: a multiple of three, so that the pieces' base64
joins."""
_GZIP = "application/x-gzip"
"""The only type that every client knows; and never with Content-Encoding, which would make clients unpack it."""

Told = Callable[[list[Entry]], bytes]
"""All packages as the answer to what is asked for."""


class AppRegistryFace:
    name = "appr"

    def __init__(self, gateway: Gateway, places: Places, large: Large) -> None:
        self._gateway = gateway
        self._places = places
        self._forwarding = Forwarding(gateway, places)
        self._large = large
        self._manifests: LRUCache[Digest, PackageManifest] = LRUCache(4096)

    def claims(self, path: str) -> bool:
        first, _, rest = path[1:].partition("/")
        return first in ("cnr", "api") or rest == "cnr" or rest.startswith("cnr/")

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.reading:
            return await self._forwarding.serve(exchange)
        path = parse_path(exchange.target, self._places.at(exchange.host))
        match path:
            case Version():
                return await self._name(exchange, NameWant(path.place, Kind.VERSION), "version")
            case Packages():
                return await self._packages(exchange, path)
            case Search():
                return await self._search(exchange, path)
            case Package():
                want = NameWant(path.place, Kind.PACKAGE, path.package, path.media_type)
                return await self._name(exchange, want, path.package)
            case Release():
                want = release_want(path.place, path.package, path.release, path.format)
                return await self._name(exchange, want, f"{path.package}@{path.release}")
            case Channels():
                kind = Kind.CHANNEL if path.channel else Kind.CHANNELS
                want = NameWant(path.place, kind, path.package, path.channel)
                return await self._name(
                    exchange, want, f"{path.package}:{path.channel}" if path.channel else path.package
                )
            case Pull():
                return await self._pull(exchange, path)
            case Blob():
                return await self._blob(exchange, path)
            case _:
                assert_never(path)

    async def refuse(self, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        return await send_refusal(exchange, failure, error_body(failure), _JSON)

    async def _name(self, exchange: Exchange, want: NameWant, name: str) -> web.StreamResponse:
        exchange.kind, exchange.name = want.kind, name
        named = await self._gateway.lookup(want, again=exchange.again)
        return await send_named(exchange, named, NAMES, _JSON)

    # --- the list, of all members

    async def _packages(self, exchange: Exchange, path: Packages) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.PACKAGES, path.filters
        want = NameWant(path.place, Kind.PACKAGES, name=path.filters, within=path.namespace)
        answers = await self._gateway.survey(want, again=exchange.again)
        named = answers[0].named
        whole = not path.query and not self._gateway.refuses_some(answers[0].member)
        if len(answers) == 1 and named is not None and whole:
            return await send_named(exchange, named, NAMES, _JSON)
        asked = ("packages", path.query)
        return await self._merged(
            exchange, path.place.name, answers, asked, lambda listed: written(matching(listed, path.query))
        )

    async def _search(self, exchange: Exchange, path: Search) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.PACKAGES, "search"
        want = NameWant(path.place, Kind.PACKAGES)
        answers = await self._gateway.survey(want, again=exchange.again)
        asked = ("names", path.text)
        return await self._merged(
            exchange, path.place.name, answers, asked, lambda listed: _names_found(listed, path.text)
        )

    async def _merged(
        self, exchange: Exchange, view: str, answers: list[Answer], asked: tuple[str, str], told: Told
    ) -> web.StreamResponse:
        lists = sum_up(answers)
        headers = {**exchange.found(lists.verdict, lists.upstreams, NAMES), **_JSON, **lists.partial}

        def made() -> bytes:
            return told(merged_documents(lists.contents(), self._gateway.admits))

        async with self._large.body(view, (*asked, lists.key), lists.size, made) as body:
            return await send_body(exchange, 200, body, headers)

    # --- packages, always by digest

    async def _pull(self, exchange: Exchange, path: Pull) -> web.StreamResponse:
        """A pull by release is served by the digest that its manifest names. Bytes that are held are as old as the
        release's name: which they are may have been confirmed now, or not."""
        exchange.kind, exchange.name = Kind.RELEASE, f"{path.package}@{path.release}"
        want = release_want(path.place, path.package, path.release, path.format)
        named, manifest, transfer = await self._released(want, again=exchange.again)
        if transfer.verdict.cache is Cache.HIT and named.verdict.cache in (Cache.REVALIDATED, Cache.STALE):
            transfer.verdict = named.verdict
        stem = f"{path.package.replace('/', '_')}_{manifest.release}"
        if not path.json:
            return await send_transfer(exchange, transfer, NAMES, _archive(stem))
        fields = {"package": path.package, "release": manifest.release, "media_type": manifest.format}
        return await self._json(exchange, transfer, {**fields, "filename": f"{stem}.tar.gz"}, NAMES)

    async def _released(self, want: NameWant, *, again: bool) -> tuple[Named, PackageManifest, Transfer]:
        """A name, its manifest, and what that names. One that names bytes that are not there may have been overtaken
        by a push, so it is asked for anew, once."""
        named, manifest = await self._manifest(want, again=again)
        try:
            return named, manifest, await self._package(want, named, manifest)
        except Exhausted as failed:
            if not all(isinstance(failure, NotThere) for failure in failed.failures):
                raise
            named, manifest = await self._manifest(want, again=True)
            if named.verdict.detail == "gone-upstream":
                raise
        try:
            return named, manifest, await self._package(want, named, manifest)
        except Exhausted as failed:
            sentence = f"has the release {manifest.title} and not its bytes {manifest.digest}"
            raise Exhausted([Outage(named.record.origin, sentence, 404)]) from failed

    async def _manifest(self, want: NameWant, *, again: bool) -> tuple[Named, PackageManifest]:
        named = await self._gateway.lookup(want, again=again)
        digest = named.document.digest
        manifest = self._manifests.get(digest)
        if manifest is None:
            try:
                manifest = await self._gateway.read(named.record.origin, named.document, shapes.read_manifest)
            except shapes.NotTheShape as error:  # it was taken by a version that was less strict
                sent = Outage(named.record.origin, f"sent, some time ago, a document that is none: {error}")
                raise Exhausted([sent]) from error
            self._manifests[digest] = manifest
        return named, manifest

    async def _package(self, want: NameWant, named: Named, manifest: PackageManifest) -> Transfer:
        owner, expected = Place.of(named.record.origin, want.place.protocol), Expected(unpacked=manifest.digest)
        titles = (manifest.title, shapes.any_title_of(manifest.title))
        return await self._gateway.blob(BlobWant(owner, manifest.package, expected, titles=titles), whole=True)

    async def _blob(self, exchange: Exchange, path: Blob) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.BLOB, f"{path.package}@{path.digest}"
        want = BlobWant(path.place, path.package, Expected(unpacked=path.digest))
        transfer = await self._gateway.blob(want, whole=True, only_held=exchange.only_held)
        stem = f"{path.package.replace('/', '_')}_{path.digest.hex[:8]}"
        if not path.json:
            return await send_transfer(exchange, transfer, DIGESTS, _archive(stem))
        fields = {"package": path.package, "release": path.digest.hex, "filename": f"{stem}.tar.gz"}
        return await self._json(exchange, transfer, fields, DIGESTS)

    async def _json(
        self, exchange: Exchange, transfer: Transfer, fields: Mapping[str, Any], control: str
    ) -> web.StreamResponse:
        held = await transfer.held()
        headers = {**exchange.found(transfer.verdict, transfer.origin, control), **_JSON}
        exchange.tried = tuple(transfer.tried)
        begin, end = orjson.dumps(fields)[:-1] + b',"blob":"', b'"}'
        length = len(begin) + 4 * -(-held.size // 3) + len(end)
        return await send_pieces(exchange, length, _in_base64(begin, held, end), headers)


def _names_found(listed: list[Entry], text: str) -> bytes:
    return orjson.dumps([package.name for package in matching(listed, text)] if text else [])


async def _in_base64(begin: bytes, held: Held, end: bytes) -> AsyncIterator[bytes]:
    """Coded while it is sent: a package is up to 64 MiB, and a slow client must cost a piece and not a package."""
    yield begin
    for at in range(0, held.size, _CODED):
        yield base64.b64encode(await read_piece(held, at, min(_CODED, held.size - at)))
    yield end


def _archive(stem: str) -> dict[str, str]:
    return {"Content-Type": _GZIP, "Content-Disposition": f"{stem}.tar.gz"}
