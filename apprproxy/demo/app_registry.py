"""An App Registry on loopback, in the words of appr-server 0.7.4, as much of one as pulling needs."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from apprproxy.demo.packages import Package

_PACKAGE = "/cnr/api/v1/packages/{namespace}/{name}"


def app_registry(held: Mapping[str, Package]) -> web.Application:
    faced = _AppRegistry(held)
    app = web.Application()
    app.router.add_get("/cnr/version", faced.version)
    app.router.add_get("/cnr/api/v1/packages", faced.packages)
    app.router.add_get(_PACKAGE, faced.package)
    app.router.add_get(f"{_PACKAGE}/channels", faced.channels)
    app.router.add_get(f"{_PACKAGE}/channels/{{channel}}", faced.channel)
    app.router.add_get(f"{_PACKAGE}/blobs/sha256/{{digest}}", faced.blob)
    app.router.add_get(f"{_PACKAGE}/{{release}}", faced.release)
    app.router.add_get(f"{_PACKAGE}/{{release}}/{{format}}", faced.manifest)
    return app


class _AppRegistry:
    def __init__(self, held: Mapping[str, Package]) -> None:
        self._held = held

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"appr-api": "0.7.4"})

    async def packages(self, request: web.Request) -> web.Response:
        namespace, media_type = request.query.get("namespace", ""), request.query.get("media_type", "")
        wanted = [
            package.listed()
            for package in self._held.values()
            if package.name.startswith(f"{namespace}/" if namespace else "") and media_type in ("", package.format)
        ]
        return web.json_response(wanted)

    async def package(self, request: web.Request) -> web.Response:
        package = self._package(request)
        wanted = request.query.get("media_type", package.format) == package.format
        return web.json_response([package.manifest(release) for release in package.releases] if wanted else [])

    async def channels(self, request: web.Request) -> web.Response:
        package = self._package(request)
        return web.json_response([package.channel(name) for name in package.channels])

    async def channel(self, request: web.Request) -> web.Response:
        package, name = self._package(request), request.match_info["channel"]
        if name not in package.channels:
            raise _no("channel-not-found", f"Channel '{name}' doesn't exist for package '{package.name}'")
        return web.json_response(package.channel(name))

    async def release(self, request: web.Request) -> web.Response:
        package, release = self._package(request), request.match_info["release"]
        if release not in package.releases:
            raise _no("package-not-found", f"package {package.name} has no release {release}")
        return web.json_response([package.manifest(release)])

    async def manifest(self, request: web.Request) -> web.Response:
        """Of an exact release or ``default``; ``-`` is the only format there is."""
        package, release = self._package(request), request.match_info["release"]
        release = next(iter(package.releases)) if release == "default" else release
        if release not in package.releases:
            raise _no("package-release-not-found", f"No release match '{release}' for package '{package.name}'")
        if request.match_info["format"] not in ("-", package.format):
            raise _no("package-not-found", f"package {package.name} has no such format")
        current = [name for name, pointed_at in package.channels.items() if pointed_at == release]
        return web.json_response({**package.manifest(release), "channels": current})

    async def blob(self, request: web.Request) -> web.Response:
        for content in self._package(request).releases.values():
            if content.unpacked_digest.hex == request.match_info["digest"]:
                return web.Response(body=content.packed, content_type="application/x-gzip")
        raise _no("package-not-found", "there is no such digest here")

    def _package(self, request: web.Request) -> Package:
        name = f"{request.match_info['namespace']}/{request.match_info['name']}"
        package = self._held.get(name)
        if package is None:
            raise _no("package-not-found", f"package {name} doesn't exist")
        return package


def _no(code: str, message: str) -> web.HTTPNotFound:
    error: dict[str, Any] = {"code": code, "message": message, "details": {}}
    return web.HTTPNotFound(body=orjson.dumps(error), content_type="application/json")
