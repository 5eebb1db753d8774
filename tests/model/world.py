"""A server process, its owner and a mirror, and an oracle that knows what must hold whatever was done.

The size of the cache is looked at all the time, the rest whenever no transfer is under way.
"""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.gateway.delivery.side import AHEAD
from apprproxy.settings import Settings
from apprproxy.store.index.ledger import Ledger
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.verify import verify
from tests.fakes.clock import until
from tests.fakes.content import digest, some_bytes
from tests.fakes.lies import Behaviour, Honest
from tests.fakes.ranged import by_range
from tests.fakes.registry import Registry
from tests.model.held import Directory
from tests.model.nursery import Nursery
from tests.model.server import BROKEN, Answer, Server
from tests.store.contents import Told

CAP = 64 << 20
SIZES = (1, 70_000, 700_000, 3 << 20, 9 << 20, 15 << 20, 20 << 20, 26 << 20)
"""More in all than the cap, so that blobs are evicted; a tag names each two neighbours."""
BLOBS = [some_bytes(size, seed=f"{size} ") for size in SIZES]
DIGESTS = [digest(blob) for blob in BLOBS]
TAGS = range(len(BLOBS) // 2)


class Source(Registry):
    """Counts the bytes of blobs that it sends, by digest."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[str] = Counter()
        self.behaves: Behaviour = by_range
        self.on["GET blob"] = self._counted
        for tag in TAGS:
            self.push("app", str(tag), BLOBS[2 * tag], BLOBS[2 * tag + 1])

    async def _counted(self, request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        answer = await self.behaves(request, honest)
        size = len(honest.body)  # not the headers, nor a page instead
        self.sent[digest(honest.body)] += min(answer.body_length, answer.content_length or 0, size)
        return answer


class World:
    """``begin`` and ``end`` it. ``excuses`` are reasons for which a blob's bytes may be fetched once more, ``allowed``
    bytes that may be beside. What arrived of ``spoilt`` ones may be wrong; ``misled`` says that the mirror once
    misbehaved. ``largest`` is what the cache took at any time."""

    def __init__(self, nursery: Nursery, folder: Path, delivery: dict[str, Any]) -> None:
        self._nursery = nursery
        self._folder = folder
        self._delivery = delivery
        self.cache = Directory(folder / "cache")
        self.owner, self.mirror = Source(), Source()
        self.excuses: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()
        self.largest = 0
        self.pinned: set[str] = set()
        self.held: set[str] = set()
        self.trusting = True
        self.misled = False
        self.spoilt: set[str] = set()
        self._stack = AsyncExitStack()

    async def begin(self) -> None:
        for source in (self.owner, self.mirror):
            await self._stack.enter_async_context(source)
        hub = {"kind": "oci", "url": self.owner.url, "mirrors": [{"url": self.mirror.url}], "missing_for": "1s"}
        settings = {
            "cache": {"directory": str(self.cache.root), "max_size": "64MiB"},
            "delivery": self._delivery,
            "upstreams": {"hub": hub},
        }
        self.server = Server(self._nursery, self._folder, "gateway", settings)
        self._stack.push_async_callback(self.server.end)
        await self.server.begin()
        watching = asyncio.create_task(self._watch())
        self._stack.callback(watching.cancel)

    async def _watch(self) -> None:
        while True:
            self.largest = max(self.largest, self.cache.used())
            await asyncio.sleep(0.002)

    async def end(self) -> None:
        await self._stack.aclose()

    # --- what is done

    async def pull(self, number: int, span: tuple[int, int] | None = None) -> None:
        """Asked for, and right if it was answered to the end; answered, where nobody has failed lately."""
        blob, part = BLOBS[number], "" if span is None else f"bytes={span[0]}-{span[1] - 1}"
        honest = self.trusting and self.owner.behaves is by_range and not self._may_break_off(number)
        if span is not None and span[0] >= AHEAD:
            self.allowed[DIGESTS[number]] += span[1] - span[0]  # a part far ahead is asked for beside the transfer
        answer = await self.server.pull(f"/v2/hub/app/blobs/{DIGESTS[number]}", part)
        self._judge(answer, blob if span is None else blob[span[0] : span[1]], honest=honest)
        if answer == (200, blob):
            self.spoilt.discard(DIGESTS[number])

    def _may_break_off(self, number: int) -> bool:
        """A client may have been given bytes that turn out wrong: not their end, and it is told by a broken answer."""
        streams = self._delivery["stream"]
        return streams != "never" and (DIGESTS[number] in self.spoilt or (streams == "any" and self.misled))

    def _judge(self, answer: Answer, right: bytes, *, honest: bool) -> None:
        status, body = answer
        if status in (200, 206):
            assert right == body  # no completed answer is wrong
        else:
            assert status in (0, 416, 502, 503, 504)
            assert not honest or (status == 416 and not right), f"{status} {body[:500]!r}\n{self.server.log[-5000:]}"

    async def kill(self, number: int, grown: int, *, spoil: bool = False) -> None:
        """In the middle of a pull, once so much of it is there; before it starts again, what is there may be spoilt."""
        honest = self.owner.behaves is by_range and not self._may_break_off(number)
        pulling = asyncio.create_task(self.server.pull(f"/v2/hub/app/blobs/{DIGESTS[number]}"))
        await until(lambda: pulling.done() or self.cache.partial(DIGESTS[number]) >= grown)
        await self.server.kill()
        if (answer := await pulling) != BROKEN:
            self._judge(answer, BLOBS[number], honest=honest and self.trusting)
        self.excuses[DIGESTS[number]] += 1  # what was in its sockets is lost
        self.trusting = True  # it remembers no failure
        if spoil:
            for name in self.cache.partials():
                self.cache.spoil(self.cache.root / "ingest" / name)
            self.excuses.update(DIGESTS)
            self.spoilt.update(DIGESTS)
        await self.server.begin()

    async def rot(self, number: int) -> None:
        """A blob is spoilt on the disk, and somebody verifies the cache: nobody is given it from then on."""
        algorithm, _, name = DIGESTS[number].partition(":")
        path = self.cache.root / "blobs" / algorithm / name
        if not path.exists():
            return
        self.cache.spoil(path)
        with opened(Settings.model_validate({"cache": {"directory": self.cache.root, "max_size": "64MiB"}})) as folder:
            found = await asyncio.to_thread(lambda: list(verify(folder, lambda _: None)))
        assert DIGESTS[number] in [one.key for one in found]
        self.excuses[DIGESTS[number]] += 1
        self.held.discard(DIGESTS[number])

    async def pin(self, tag: int) -> None:
        status, manifest = await self.server.pull(f"/v2/hub/app/manifests/{tag}")
        if status != 200:
            return
        ledger = Ledger(self.cache.root, CAP, time.time, Told())
        try:
            ledger.pinned.pin(f"hub/app:{tag}", Digest.parse(digest(manifest)))
        finally:
            ledger.close()
        self.pinned |= {DIGESTS[2 * tag], DIGESTS[2 * tag + 1]}

    def behave(self, *, owner: Behaviour | None = None, mirror: Behaviour | None = None) -> None:
        """From now on."""
        self.owner.behaves, self.mirror.behaves = owner or self.owner.behaves, mirror or self.mirror.behaves
        if self.owner.behaves is not by_range:
            self.trusting = False  # what it could not give is remembered for a while
        if self.mirror.behaves is not by_range:
            self.misled = True
        self.excuses.update(DIGESTS)

    # --- what holds

    async def check(self) -> None:
        await self._at_rest()
        held = self.cache.blobs()  # which are right
        assert self.largest <= CAP
        gone = self.held - held.keys()
        assert not gone & self.pinned
        self.excuses.update(gone)
        self.held = set(held)
        if self.owner.behaves is self.mirror.behaves is by_range:
            for number, wanted in enumerate(DIGESTS):
                allowed = SIZES[number] * (1 + self.excuses[wanted]) + self.allowed[wanted]
                assert self.fetched(wanted) <= allowed, self.server.log[-9000:]

    def fetched(self, wanted: str) -> int:
        return self.owner.sent[wanted] + self.mirror.sent[wanted]

    async def _at_rest(self) -> None:
        """No transfer is under way."""
        async with asyncio.timeout(10):
            while b"apprproxy_flights 0.0" not in (await self.server.pull("/metrics"))[1]:
                await asyncio.sleep(0.005)
