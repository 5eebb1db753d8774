"""The App Registry face: ``…/cnr/api/v1`` as appr, the Helm plugin and the operator tools ask for it."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, assert_never

import orjson
from aiohttp import web

from apprproxy.appregistry import shapes
from apprproxy.appregistry.errors import error_body
from apprproxy.appregistry.merge import merged_packages
from apprproxy.appregistry.paths import (
    Blob,
    Channels,
    Package,
    Packages,
    Pull,
    Release,
    Version,
    parse_path,
)
from apprproxy.appregistry.shapes import PackageManifest
from apprproxy.appregistry.writes import MAX_BODY, parse_write
from apprproxy.core.errors import Exhausted, Failure, NotOffered, NotThere, TooLarge, UpstreamFault
from apprproxy.core.model import BlobWant, Cache, Expected, Kind, NameWant, Place, Verdict
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import DIGESTS, NAMES, about
from apprproxy.face.places import Places
from apprproxy.face.send import send_body, send_named, send_transfer
from apprproxy.face.status import retry_after, status_of
from apprproxy.gateway.gateway import Answer, Gateway, Transfer

_JSON = {"Content-Type": "application/json"}
_GZIP = "application/x-gzip"
"""The only type that every client knows; and never with Content-Encoding, which would make clients unpack it."""


class AppRegistryFace:
    name = "appr"

    def __init__(self, gateway: Gateway, places: Places) -> None:
        self._gateway = gateway
        self._places = places

    def claims(self, path: str) -> bool:
        first, _, rest = path[1:].partition("/")
        return first in ("cnr", "api") or rest == "cnr" or rest.startswith("cnr/")

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.reading:
            return await self._write(exchange)
        path = parse_path(exchange.target, self._places)
        match path:
            case Version():
                return await self._name(exchange, NameWant(path.place, Kind.VERSION), "version")
            case Packages():
                return await self._packages(exchange, path)
            case Package():
                want = NameWant(path.place, Kind.PACKAGE, path.package, path.media_type)
                return await self._name(exchange, want, path.package)
            case Release():
                want = _release_want(path.place, path.package, path.release, path.format)
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
        status = status_of(failure)
        headers = dict(_JSON)
        if status == 405:
            headers["Allow"] = "GET, HEAD"
        if (wait := retry_after(failure)) is not None:
            headers["Retry-After"] = str(int(wait) + 1)
        return await send_body(exchange, status, error_body(failure), headers)

    async def _name(self, exchange: Exchange, want: NameWant, name: str) -> web.StreamResponse:
        exchange.kind, exchange.name = want.kind, name
        named = await self._gateway.lookup(want, again=exchange.again)
        return await send_named(exchange, named, NAMES, _JSON)

    # --- writes

    async def _write(self, exchange: Exchange) -> web.StreamResponse:
        change = parse_write(exchange.method, exchange.target, self._places)
        exchange.name = change.package or change.path
        self._gateway.may_forward(change.place)
        body = await _bounded_body(exchange.request)
        asked = exchange.request.headers
        write = await asyncio.to_thread(
            change.with_body, body, asked.get("Content-Type", ""), asked.get("Authorization")
        )
        upstream, reply = await self._gateway.forward(write)
        verdict = Verdict(Cache.BYPASS)
        exchange.found(verdict, upstream)
        headers = {
            **about(verdict, upstream, "no-store"),
            "Content-Type": reply.headers.get("content-type", "text/plain"),
        }
        return await send_body(exchange, reply.status, reply.body, headers)

    # --- the list, of all members

    async def _packages(self, exchange: Exchange, path: Packages) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.PACKAGES, path.filters
        want = NameWant(path.place, Kind.PACKAGES, name=path.filters)
        answers = await self._gateway.survey(want, again=exchange.again)
        had = [answer for answer in answers if answer.named is not None]
        missing = [answer for answer in answers if not _said(answer)]
        if missing and not had:
            raise _together(answers)
        if len(answers) == 1 and had and had[0].named is not None and not path.query:
            return await send_named(exchange, had[0].named, NAMES, _JSON)
        lists = [orjson.loads(await one.named.document.read()) for one in had if one.named is not None]
        packages = shapes.matching(merged_packages(lists), path.query)
        verdict = _together_verdict([one.named.verdict for one in had if one.named is not None])
        upstreams = ", ".join(one.member for one in had)
        exchange.found(verdict, upstreams)
        headers = {**about(verdict, upstreams, NAMES), **_JSON}
        if missing:
            headers["Apprproxy-Partial"] = ", ".join(answer.member for answer in missing)
        return await send_body(exchange, 200, orjson.dumps(list(packages)), headers)

    # --- packages, always by digest

    async def _pull(self, exchange: Exchange, path: Pull) -> web.StreamResponse:
        """A pull by release is served by the digest that its manifest names."""
        exchange.kind, exchange.name = Kind.RELEASE, f"{path.package}@{path.release}"
        want = _release_want(path.place, path.package, path.release, path.format)
        named = await self._gateway.lookup(want, again=exchange.again)
        manifest = shapes.read_manifest(await named.document.read())
        owner = Place(named.record.origin, (named.record.origin,))
        transfer = await self._package(owner, path.package, manifest)
        stem = f"{path.package.replace('/', '_')}_{manifest.release}"
        if not path.json:
            return await send_transfer(exchange, transfer, NAMES, _archive(stem))
        fields = {"package": path.package, "release": manifest.release, "media_type": manifest.format}
        return await self._json(exchange, transfer, {**fields, "filename": f"{stem}.tar.gz"}, NAMES)

    async def _package(self, owner: Place, package: str, manifest: PackageManifest) -> Transfer:
        want = BlobWant(owner, package, Expected(unpacked=manifest.digest), pin=manifest.pin)
        return await self._gateway.blob(want, whole=True)

    async def _blob(self, exchange: Exchange, path: Blob) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.BLOB, f"{path.package}@{path.digest}"
        want = BlobWant(path.place, path.package, Expected(unpacked=path.digest))
        transfer = await self._gateway.blob(want, whole=True)
        stem = f"{path.package.replace('/', '_')}_{path.digest.hex[:8]}"
        if not path.json:
            return await send_transfer(exchange, transfer, DIGESTS, _archive(stem))
        fields = {"package": path.package, "release": path.digest.hex, "filename": f"{stem}.tar.gz"}
        return await self._json(exchange, transfer, fields, DIGESTS)

    async def _json(
        self, exchange: Exchange, transfer: Transfer, fields: Mapping[str, Any], control: str
    ) -> web.StreamResponse:
        content = await (await transfer.held()).read()
        body = orjson.dumps({**fields, "blob": base64.b64encode(content).decode()})
        exchange.found(transfer.verdict, transfer.origin)
        headers = {**about(transfer.verdict, transfer.origin, control), **_JSON}
        return await send_body(exchange, 200, body, headers)


async def _bounded_body(request: web.BaseRequest) -> bytes:
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise TooLarge(f"the body is larger than the {MAX_BODY} bytes that are taken")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"the body is larger than the {MAX_BODY} bytes that are taken")
    return bytes(body)


def _release_want(place: Place, package: str, release: str, media_type: str) -> NameWant:
    return NameWant(place, Kind.RELEASE, package, f"{release}/{media_type}" if media_type else release)


def _archive(stem: str) -> dict[str, str]:
    return {"Content-Type": _GZIP, "Content-Disposition": f"{stem}.tar.gz"}


def _said(answer: Answer) -> bool:
    """Did this member say what it has, be it that it has no list at all?"""
    return answer.named is not None or isinstance(answer.failure, (NotThere, NotOffered))


def _together(answers: list[Answer]) -> Failure:
    failures = [answer.failure for answer in answers if answer.failure is not None]
    faults = [failure for failure in failures if isinstance(failure, UpstreamFault)]
    return Exhausted(faults) if len(faults) == len(failures) else failures[0]


def _together_verdict(verdicts: list[Verdict]) -> Verdict:
    """A merged answer is as fresh as its oldest part."""
    worst = (Cache.HIT, Cache.REVALIDATED, Cache.COLLAPSED, Cache.MISS, Cache.STALE)
    chosen = max(verdicts, key=lambda verdict: worst.index(verdict.cache), default=Verdict(Cache.MISS))
    ages = [verdict.age for verdict in verdicts if verdict.age is not None]
    return Verdict(
        chosen.cache,
        age=max(ages, default=None),
        ttl=chosen.ttl,
        status=chosen.status,
        detail=chosen.detail,
        stored=chosen.stored,
    )
