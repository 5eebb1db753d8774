"""An OCI registry with content that counts what it is asked, and misbehaves where it is told to.

``registry.on["blob"] = lies.page(200)`` changes one kind of answer; ``"HEAD tag"`` just that method's. Kinds are
``blob manifest tag tags referrers catalog token other``.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.content import IMAGE, INDEX, digest, manifest, oci_error
from tests.fakes.lies import Behaviour, Honest, honestly
from tests.fakes.listening import listening
from tests.fakes.lock import Lock, Open

_JSON = {"Content-Type": "application/json"}
_LACKING = Honest(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    method: str
    kind: str
    target: str
    headers: Mapping[str, str]


class Registry:
    """``url`` is valid inside ``async with``. ``lock`` says whom to let in. ``offers`` are the end points that it has
    of those that a registry may lack, ``page_size`` is how much of a list it says at once, 0 for all."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.url = ""
        self.lock: Lock = lock or Open()
        self.seen: list[Seen] = []
        self.on: dict[str, Behaviour] = {}
        self.offers = {"referrers", "catalog"}
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
        wanted = digest(content, algorithm)
        self._blobs[repository][wanted] = content
        return wanted

    def lose(self, repository: str, wanted: str) -> None:
        """A blob that it has there no more, or never had."""
        self._blobs[repository].pop(wanted, None)

    def add_manifest(self, repository: str, content: bytes, algorithm: str = "sha256", tag: str = "") -> str:
        """Its digest, which the tag now names."""
        wanted = digest(content, algorithm)
        self._manifests[repository][wanted] = content
        if tag:
            self._tags[repository][tag] = wanted
        return wanted

    def push(self, repository: str, tag: str, *layers: bytes, note: str = "") -> bytes:
        """The manifest that the tag now names."""
        for layer in layers:
            self.add_blob(repository, layer)
        content = manifest(*layers, note=note)
        self.add_manifest(repository, content, tag=tag)
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
            case ["v2", *name, "referrers", subject]:
                return "referrers", self._referrers("/".join(name), subject, request)
            case ["v2", "_catalog"]:
                return "catalog", self._catalog(request)
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
        kind = json.loads(content).get("mediaType", IMAGE)
        return Honest(200, content, {"Content-Type": kind, "Docker-Content-Digest": wanted})

    def _tag_list(self, name: str, request: web.BaseRequest) -> Honest:
        """Of a repository with manifests and no tags the list is empty."""
        if not self._manifests.get(name):
            return Honest(404, oci_error("NAME_UNKNOWN"), _JSON)
        tags, headers = self._page(sorted(self._tags[name]), request)
        return Honest(200, json.dumps({"name": name, "tags": tags}).encode(), {**_JSON, **headers})

    def _catalog(self, request: web.BaseRequest) -> Honest:
        if "catalog" not in self.offers:
            return _LACKING
        names, headers = self._page(sorted(name for name, held in self._manifests.items() if held), request)
        return Honest(200, json.dumps({"repositories": names}).encode(), {**_JSON, **headers})

    def _referrers(self, name: str, subject: str, request: web.BaseRequest) -> Honest:
        """Of a subject that is not there they are none (specification, "Listing Referrers")."""
        if "referrers" not in self.offers:
            return _LACKING
        held = self._manifests[name]
        referring = {one: json.loads(held[one]) for one in held}
        referring = {one: said for one, said in referring.items() if said.get("subject", {}).get("digest") == subject}
        page, headers = self._page(sorted(referring), request)
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor(held[one], one) for one in page],
        }
        return Honest(200, json.dumps(index).encode(), {"Content-Type": INDEX, **headers})

    def _page(self, entries: Sequence[str], request: web.BaseRequest) -> tuple[list[str], dict[str, str]]:
        """What follows ``last``, and the Link to what follows that."""
        rest = [entry for entry in entries if entry > request.query.get("last", "")]
        page = rest[: self.page_size or None]
        if len(page) == len(rest):
            return page, {}
        path = request.raw_path.partition("?")[0]
        return page, {"Link": f'<{path}?last={page[-1]}&n={self.page_size}>; rel="next"'}


def descriptor(content: bytes, wanted: str) -> dict[str, object]:
    """Of a manifest, as an index or a list of referrers names it."""
    said = json.loads(content)
    described = {"mediaType": said.get("mediaType", IMAGE), "digest": wanted, "size": len(content)}
    kind = said.get("artifactType") or said.get("config", {}).get("mediaType")
    return {**described, "artifactType": kind} if kind else described
