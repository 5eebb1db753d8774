"""An OCI registry with content that counts what it is asked, and misbehaves where it is told to.

``registry.on["blob"] = lies.page(200)`` changes one kind of answer; ``"HEAD tag"`` just that method's. Kinds are
``blob manifest tag tags token other``.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from apprproxy.core.digest import Digest
from tests.fakes.content import IMAGE, digest, manifest, oci_error
from tests.fakes.lies import Behaviour, Honest, honestly
from tests.fakes.listening import listening
from tests.fakes.lock import Lock, Open

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    method: str
    kind: str
    target: str
    headers: Mapping[str, str]


class Registry:
    """``url`` is valid inside ``async with``. ``lock`` says whom to let in."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.url = ""
        self.lock: Lock = lock or Open()
        self.seen: list[Seen] = []
        self.on: dict[str, Behaviour] = {}
        self.page_size = 0
        self._blobs: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._manifests: dict[str, dict[str, bytes]] = defaultdict(dict)
        self._tags: dict[str, dict[str, str]] = defaultdict(dict)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.url = await self._stack.enter_async_context(listening(self._answer))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Nobody listens there any more."""
        await self._stack.aclose()

    # --- content

    def add_blob(self, repository: str, content: bytes, algorithm: str = "sha256") -> str:
        """Its digest."""
        wanted = str(Digest.of(content, algorithm))
        self._blobs[repository][wanted] = content
        return wanted

    def add_manifest(self, repository: str, content: bytes) -> str:
        self._manifests[repository][digest(content)] = content
        return digest(content)

    def push(self, repository: str, tag: str, *layers: bytes, note: str = "") -> bytes:
        """The manifest that the tag now names."""
        for layer in layers:
            self.add_blob(repository, layer)
        content = manifest(*layers, note=note)
        self._tags[repository][tag] = self.add_manifest(repository, content)
        return content

    def delete(self, repository: str, tag: str) -> None:
        del self._tags[repository][tag]

    # --- what it was asked

    def count(self, what: str = "") -> int:
        """How many requests of a kind (``blob``), of a method and kind (``GET blob``), or in all."""
        return sum(what in ("", one.kind, f"{one.method} {one.kind}") for one in self.seen)

    # --- answers

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.raw_path.partition("?")[0])
        kind, honest = self._honest(path, request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, kind, request.raw_path, headers))
        refusal = self.lock.token(request) if kind == "token" else self.lock.refuse(request, self.url)
        behave = self.on.get(f"{request.method} {kind}") or self.on.get(kind, honestly)
        return await behave(request, refusal or honest)

    def _honest(self, path: str, request: web.BaseRequest) -> tuple[str, Honest]:
        match path.strip("/").split("/"):
            case ["token"]:
                return "token", Honest(404)
            case ["v2", *name, "blobs", wanted]:
                return "blob", self._blob("/".join(name), wanted)
            case ["v2", *name, "manifests", reference]:
                kind = "manifest" if ":" in reference else "tag"
                return kind, self._manifest("/".join(name), reference, request.method)
            case ["v2", *name, "tags", "list"]:
                return "tags", self._tag_list("/".join(name), request)
            case _:
                return "other", Honest(200, b"{}", _JSON)

    def _blob(self, name: str, wanted: str) -> Honest:
        content = self._blobs[name].get(wanted)
        if content is None:
            return Honest(404, oci_error("BLOB_UNKNOWN"), _JSON)
        return Honest(200, content, {"Content-Type": "application/octet-stream", "Docker-Content-Digest": wanted})

    def _manifest(self, name: str, reference: str, method: str) -> Honest:
        wanted = self._tags[name].get(reference, reference)
        content = self._manifests[name].get(wanted)
        if content is None:
            return Honest(404, b"" if method == "HEAD" else oci_error("MANIFEST_UNKNOWN"), _JSON)
        return Honest(200, content, {"Content-Type": IMAGE, "Docker-Content-Digest": wanted})

    def _tag_list(self, name: str, request: web.BaseRequest) -> Honest:
        tags = sorted(self._tags[name])
        if not tags:
            return Honest(404, oci_error("NAME_UNKNOWN"), _JSON)
        rest = [tag for tag in tags if tag > request.query.get("last", "")]
        page = rest[: self.page_size or None]
        headers = dict(_JSON)
        if len(page) < len(rest):
            headers["Link"] = f'</v2/{name}/tags/list?last={page[-1]}&n={self.page_size}>; rel="next"'
        return Honest(200, json.dumps({"name": name, "tags": page}).encode(), headers)
