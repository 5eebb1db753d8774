"""Whatever is asked, told, denied, lost and configured otherwise: nobody is shown what neither their own upstream has
sent to the same account nor everybody may have, and who has been sent something is shown it from then on."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Denied
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.purge import purge_digest
from apprproxy.upkeep.recovery import recover
from apprproxy.upkeep.verify import verify
from tests.core.laws import EXPLORING
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest, manifest, some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.lies import Honest
from tests.fakes.lock import Password
from tests.fakes.registry import Registry

LAYERS = {name: some_bytes(2000, seed=name) for name in ("secret", "base")}
NAMING = manifest(*LAYERS.values())
DIGESTS = {name: digest(content) for name, content in LAYERS.items()}
REPOSITORIES = APP, EVIL, LIBRARY = "private/app", "evil/app", "library/app"
ACCOUNT = {"auth": {"username": "bot", "password": "s3cret", "share": True}}
EXAMPLES = settings(
    max_examples=200 if EXPLORING else 10,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
)
upstreams = st.sampled_from(["corp", "other"])
repositories = st.sampled_from(REPOSITORIES)
layers = st.sampled_from(sorted(LAYERS))


class Owner(Registry):
    """Tells to whose account, and for which repository, it has sent what. In one repository it ``said`` to
    HEAD that it has whatever it was asked for, and has a document that names all of it."""

    def __init__(self, *, private: bool) -> None:
        super().__init__(Password() if private else None)
        self.account = ""
        self.sent: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.said: set[tuple[str, str]] = set()
        self.on["blob"] = self._send
        self.add_manifest(EVIL, NAMING, tag="1")

    async def _send(self, request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        repository, _, wanted = request.path.removeprefix("/v2/").partition("/blobs/")
        if request.method == "HEAD" and repository == EVIL and honest.status == 404:
            self.said.add((self.account, wanted))
            return await lies.says(200, b"x" * 2000, Docker_Content_Digest=wanted)(request, honest)
        if request.method == "GET" and honest.status == 200:
            self.sent[wanted].add((self.account, repository))
        return await lies.honestly(request, honest)


class Machine(RuleBasedStateMachine):
    """Every example has a cache of its own. ``forgotten`` is what nothing left of the index tells of any more. What
    says how a protocol asks is another one's to say otherwise (``tests/appregistry/test_visible_laws.py``)."""

    protocol = "oci"
    digests: Mapping[str, str] = DIGESTS

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.gateways = Gateways(folder, Clock(), AsyncExitStack())
        self.accounts = {"corp": True, "other": False}
        self.denied: set[tuple[str, str]] = set()
        self.forgotten: set[str] = set()
        self.told: set[tuple[str, bool, str, str]] = set()

    def owners(self) -> dict[str, Any]:
        places = {"corp": Owner(private=True), "other": Owner(private=False)}
        places["corp"].add_blob(APP, LAYERS["secret"])
        for place, repository in (("corp", APP), ("other", LIBRARY)):
            places[place].add_blob(repository, LAYERS["base"])
        return places

    def section(self, upstream: str, **keys: Any) -> dict[str, Any]:
        return oci(self.places[upstream], **keys)

    def documents(self, upstream: str) -> Sequence[str]:
        """Those that name all of it, and are its evil repository's."""
        return [f"/v2/{upstream}/{EVIL}/manifests/1"]

    def bytes_of(self, upstream: str, repository: str, layer: str) -> str:
        return f"/v2/{upstream}/{repository}/blobs/{DIGESTS[layer]}"

    def expected(self, layer: str) -> Expected:
        return Expected(Digest.parse(DIGESTS[layer]))

    def kept_documents(self) -> Sequence[str]:
        """Their digests, by which the index knows them; ``kept`` those of the bytes."""
        return [digest(NAMING)]

    def kept(self, layer: str) -> Sequence[str]:
        return [DIGESTS[layer]]

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    @initialize()
    def begin(self) -> None:
        self.places = self.owners()
        self.run(self._begin())

    async def _begin(self) -> None:
        for place in self.places.values():
            await place.__aenter__()
        await self._start()
        for upstream in self.accounts:
            await self._pull_documents(upstream)
        for layer in LAYERS:
            await self._ask("corp", APP, layer)

    async def _start(self, *, offline: bool = False) -> None:
        sections = {
            name: self.section(
                name,
                deny=[repository for of, repository in sorted(self.denied) if of == name],
                **(ACCOUNT if private else {}),
            )
            for name, private in self.accounts.items()
        }
        for name, place in self.places.items():
            place.account = "bot" if self.accounts.get(name) else ""
        self.gateway = await self.gateways.start(sections, offline=offline)
        await recover(self.gateway.app)

    async def _stop(self) -> None:
        await self.gateway.at_rest()
        await self.gateway.close()

    # --- what is done

    @rule(upstream=upstreams, repository=repositories, layer=layers)
    def ask(self, upstream: str, repository: str, layer: str) -> None:
        if upstream in self.accounts:
            self.run(self._ask(upstream, repository, layer))

    async def _ask(self, upstream: str, repository: str, layer: str) -> None:
        got = await self.gateway.get(self.bytes_of(upstream, repository, layer))
        await self.gateway.at_rest()
        if got.status == 200:
            assert self._may_see(upstream, repository, layer)
            if self._sent(upstream, repository, layer):
                self.told.add((upstream, self.accounts[upstream], repository, layer))

    @invariant()
    def what_is_shown(self) -> None:
        self.run(self._shown())

    async def _shown(self) -> None:
        for upstream, repository, layer in product(self.accounts, REPOSITORIES, LAYERS):
            want = BlobWant(Place.of(upstream, self.protocol), repository, self.expected(layer))
            try:
                shown = await self.gateway.app.gateway.holds(want)
            except Denied:
                assert (upstream, repository) in self.denied
                continue
            assert not shown or self._may_see(upstream, repository, layer)
            assert shown or (upstream, self.accounts[upstream], repository, layer) not in self.told

    def _sent(self, upstream: str, repository: str, layer: str) -> bool:
        place = self.places[upstream]
        return (place.account, repository) in place.sent[self.digests[layer]]

    def _may_see(self, upstream: str, repository: str, layer: str) -> bool:
        """An owner's word, or document, is enough for what it has sent the same account, or what everybody may have."""
        if (upstream, repository) in self.denied:
            return False
        if self._sent(upstream, repository, layer) or layer in self.forgotten:
            return True
        place = self.places[upstream]
        sent = {name: self.places[name].sent[self.digests[layer]] for name in self.accounts}
        everybodys = any(
            not account and (name, through) not in self.denied for name in sent for account, through in sent[name]
        )
        said = (place.account, self.digests[layer]) in place.said
        ours = any(
            account == place.account and (said or (upstream, through) not in self.denied)
            for account, through in sent[upstream]
        )
        return repository == EVIL and (everybodys or ours)

    @rule(upstream=upstreams)
    def pull_what_names_them(self, upstream: str) -> None:
        if upstream in self.accounts:
            self.run(self._pull_documents(upstream))

    async def _pull_documents(self, upstream: str) -> None:
        for document in self.documents(upstream):
            await self.gateway.get(document)

    @rule(upstream=upstreams, repository=repositories)
    def deny_or_not(self, upstream: str, repository: str) -> None:
        self.denied ^= {(upstream, repository)}
        self.run(self._again())

    @rule(upstream=upstreams, private=st.sampled_from([True, False, None]))
    def configure(self, upstream: str, private: bool | None) -> None:
        """With an account, without one, or not at all."""
        if private is not None:
            self.accounts[upstream] = private
        elif len(self.accounts) > 1:
            self.accounts.pop(upstream, None)
        self.run(self._again())

    async def _again(self) -> None:
        await self._stop()
        await self._start()

    @rule()
    def lose_what_is_known_of_a_document(self) -> None:
        self.run(self._lose(self.kept_documents()))

    @rule(layer=layers)
    def lose_what_is_known_of_a_layer(self, layer: str) -> None:
        self.forgotten.add(layer)
        self.told = {one for one in self.told if one[3] != layer}
        self.run(self._lose(self.kept(layer)))

    async def _lose(self, lost: Sequence[str]) -> None:
        """As by a power cut; a verification counts it again."""
        await self._stop()
        with opened(self.gateway.app.settings) as folder:
            with folder.ledger.database.transaction() as db:
                db.executemany("DELETE FROM blobs WHERE key = ?", [(one,) for one in lost])
            list(verify(folder, lambda _: None))
        await self._start()

    @rule(layer=layers)
    def purge(self, layer: str) -> None:
        self.run(self._purge(layer))

    async def _purge(self, layer: str) -> None:
        with opened(self.gateway.app.settings) as folder:
            purge_digest(folder, Digest.parse(self.digests[layer]), force=True)
        for place in self.places.values():
            place.sent[self.digests[layer]].clear()
        self.forgotten -= {layer}
        self.told = {one for one in self.told if one[3] != layer}

    def teardown(self) -> None:
        if hasattr(self, "gateway"):
            self.run(self._end())
        self.stack.close()

    async def _end(self) -> None:
        await self._stop()
        for place in self.places.values():
            await place.stop()


TestVisible = Machine.TestCase
TestVisible.settings = EXAMPLES
