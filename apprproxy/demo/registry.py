"""An OCI registry on loopback, as much of one as pulling needs; it sends other bytes for the digests it lies about."""

from collections.abc import Mapping

import orjson
from aiohttp import web

from apprproxy.demo.repository import Repository


def registry(held: Mapping[str, Repository], lies: frozenset[str] = frozenset()) -> web.Application:
    """``lies`` are digests: their headers are as they should be, and one bit of their bytes is not."""
    faced = _Registry(held, lies)
    app = web.Application()
    app.router.add_get("/v2/", faced.ping)
    app.router.add_get("/v2/{name:.+}/manifests/{reference}", faced.manifest)
    app.router.add_get("/v2/{name:.+}/blobs/{digest}", faced.blob)
    app.router.add_get("/v2/{name:.+}/tags/list", faced.tags)
    return app


class _Registry:
    def __init__(self, held: Mapping[str, Repository], lies: frozenset[str]) -> None:
        self._held = held
        self._lies = lies

    async def ping(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def manifest(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        reference = request.match_info["reference"]
        digest = repository.tags.get(reference, reference)
        content = repository.manifests.get(digest)
        if content is None:
            raise _unknown("MANIFEST_UNKNOWN")
        return self._answer(digest, content, orjson.loads(content)["mediaType"])

    async def blob(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        content = self._repository(request).blobs.get(digest)
        if content is None:
            raise _unknown("BLOB_UNKNOWN")
        return self._answer(digest, content, "application/octet-stream")

    async def tags(self, request: web.Request) -> web.Response:
        tags = sorted(self._repository(request).tags)
        return web.json_response({"name": request.match_info["name"], "tags": tags})

    def _repository(self, request: web.Request) -> Repository:
        repository = self._held.get(request.match_info["name"])
        if repository is None:
            raise _unknown("NAME_UNKNOWN")
        return repository

    def _answer(self, digest: str, content: bytes, media_type: str) -> web.Response:
        body = altered(content) if digest in self._lies else content
        return web.Response(body=body, content_type=media_type, headers={"Docker-Content-Digest": digest})


def altered(content: bytes) -> bytes:
    """The same length, one bit different: nothing but the digest tells."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _unknown(code: str) -> web.HTTPNotFound:
    error = {"errors": [{"code": code, "message": "there is none here", "detail": None}]}
    return web.HTTPNotFound(body=orjson.dumps(error), content_type="application/json")
