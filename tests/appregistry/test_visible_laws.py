"""The same of packages, which are known by the tar inside however they are packed, and of the documents and lists that
name them: these are shown to whom their upstream gave them, or gives them now."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import orjson
from aiohttp import web
from hypothesis.stateful import rule

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from apprproxy.store.blobs.part import linked_content
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.purge import purge_digest
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.registry import GZIP, Answer, Registry, as_json
from tests.fakes import lies
from tests.fakes.listening import listening
from tests.fakes.lock import basic
from tests.gateway.test_visible_laws import APP, EVIL, EXAMPLES, LIBRARY, Machine, layers, upstreams

BASE = "cnr/api/v1/packages"
TARS = {name: chart("1.0.0", name) for name in ("secret", "base")}
DIGESTS = {name: str(digest_of(tar)) for name, tar in TARS.items()}
RELEASES = {"secret": "1.0.0", "base": "2.0.0"}
"""Under which they stand in a repository that names them."""
LEVELS = {"corp": 9, "other": 1}
ANOTHER_DAY = 120.0
REFUSED = as_json({"error": {"code": "forbidden", "message": "said so", "details": {}}}, 403)


class Owner:
    """Tells to whose account, and for which repository, it has sent what. In one repository it says to HEAD that it has
    whatever it is asked for, and names all of it. Who has no account is refused where it is ``private``."""

    def __init__(self, name: str, *, private: bool) -> None:
        self.url = ""
        self.account = ""
        self.sent: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.said: set[tuple[str, str]] = set()
        self.private = private
        self.level = LEVELS[name]
        self.mark = f"told by {name}"
        self.registry = Registry()
        for package, release in RELEASES.items():
            digest = DIGESTS[package].removeprefix("sha256:")
            self.registry.push(EVIL, release, "helm", b"", self.mark, digest=digest)
        self._stack = AsyncExitStack()

    def push(self, repository: str, package: str) -> None:
        self.registry.push(repository, RELEASES[package], "helm", packed(TARS[package], self.level), self.mark)

    async def __aenter__(self) -> "Owner":
        self.url = await self._stack.enter_async_context(listening(self._serve))
        return self

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self._answer(request)
        honest = lies.Honest(answer.status, answer.body, {"Content-Type": answer.content_type})
        return await lies.honestly(request, honest)

    def _answer(self, request: web.BaseRequest) -> Answer:
        if self.private and request.headers.get("Authorization") != basic("bot", "s3cret"):
            return REFUSED
        answer = self.registry.answer(request.method, request.raw_path)
        repository, of_bytes, digest = request.path.removeprefix(f"/{BASE}/").partition("/blobs/sha256/")
        if of_bytes and answer.status == 200 and request.method == "GET":
            self.sent[f"sha256:{digest}"].add((self.account, repository))
        if of_bytes and answer.status == 404 and request.method == "HEAD" and repository == EVIL:
            self.said.add((self.account, f"sha256:{digest}"))
            return Answer(200, bytes(100), GZIP)
        return answer


class Packages(Machine):
    protocol = "appr"
    digests = DIGESTS

    def owners(self) -> dict[str, Any]:
        places = {name: Owner(name, private=name == "corp") for name in self.accounts}
        places["corp"].push(APP, "secret")
        places["corp"].push(APP, "base")
        places["other"].push(LIBRARY, "base")
        return places

    def section(self, upstream: str, **keys: Any) -> dict[str, Any]:
        return {"kind": "appr", "url": self.places[upstream].url, **keys}

    def documents(self, upstream: str) -> Sequence[str]:
        return [f"/{upstream}/{BASE}/{EVIL}/{release}" for release in ("1.0.0/helm", "1.0.0/-", "2.0.0/helm")]

    def bytes_of(self, upstream: str, repository: str, layer: str) -> str:
        return f"/{upstream}/{BASE}/{repository}/blobs/sha256/{DIGESTS[layer].removeprefix('sha256:')}"

    def expected(self, layer: str) -> Expected:
        return Expected(unpacked=Digest.parse(DIGESTS[layer]))

    def kept_documents(self) -> Sequence[str]:
        paths = [f"/{BASE}/{EVIL}/{release}/helm" for release in RELEASES.values()]
        return [
            str(Digest.of(place.registry.answer("GET", path).body)) for place in self.places.values() for path in paths
        ]

    def kept(self, layer: str) -> Sequence[str]:
        return [str(packing(layer, place)) for place in LEVELS]

    # --- what is done

    async def _begin(self) -> None:
        await super()._begin()
        await self._ask("other", LIBRARY, "base")  # packed in another way than it came here first

    async def _again(self) -> None:
        """Nobody is away here: what is old is asked for."""
        await super()._again()
        self.gateways.clock.advance(ANOTHER_DAY)
        for upstream in self.accounts:
            told = [await self.gateway.get(document) for document in self.documents(upstream)]
            assert {self._may_know(upstream, EVIL)} == {self.places[upstream].mark.encode() in one.body for one in told}

    @rule()
    def try_without_the_account(self) -> None:
        if self.accounts.get("corp"):
            self.run(self._try())

    async def _try(self) -> None:
        await self.gateway.get(f"/corp/{BASE}")
        self.accounts["corp"] = False
        await self._stop()
        await self._start()
        found = await self.gateway.get("/api/search?q=app&view=corp")
        assert [] == orjson.loads(found.body)["results"]
        await self._again()
        self.accounts["corp"] = True
        await self._again()

    def _may_know(self, upstream: str, repository: str) -> bool:
        refused = self.places[upstream].private and not self.accounts[upstream]
        return (upstream, repository) not in self.denied and not refused

    @rule(layer=layers, upstream=upstreams)
    def purge_as_it_is_packed(self, layer: str, upstream: str) -> None:
        """What is not led to takes nothing with it."""
        content, tar = packing(layer, upstream), Digest.parse(DIGESTS[layer])
        if linked_content(self.gateway.cache, tar) == content:
            self.purge(layer)
        else:
            with opened(self.gateway.app.settings) as folder:
                purge_digest(folder, content, force=True)


def packing(package: str, upstream: str) -> Digest:
    """As this upstream packs it."""
    return Digest.of(packed(TARS[package], LEVELS[upstream]))


TestVisible = Packages.TestCase
TestVisible.settings = EXAMPLES
