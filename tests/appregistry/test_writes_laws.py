"""Whatever is written, through whichever of two gateways on one cache, and asked meanwhile: from then on nobody reads
anything older of what it changed, nor of anything else as long as the upstream can be asked; and the first digest of a
release stands until another was pushed or accepted."""

import asyncio
import base64
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.model import FirstSeen
from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.gateway import Clock, Got, RunningGateway, running_gateway
from tests.appregistry.registry import JSON, Answer, Registry, as_json, html
from tests.core.laws import EXPLORING
from tests.fakes.clock import Gate, until
from tests.fakes.listening import listening

FRESH, STALE, MISSING = 60, 600, 10  # seconds
LONGEST_SHUT = 61
"""Seconds for which an upstream that failed is not asked, at the most, and a little."""
PACKAGE = "alice/nginx"
BASE = f"/cnr/api/v1/packages/{PACKAGE}"
TITLES = ("1.0.0/helm", "1.0.0/helm", "1.0.0/kpm", "1.1.0/helm")
READS = ("/1.0.0/helm", "/1.0.0/helm/pull", "/1.0.0/-", "/1.0.0/-/pull", "/1.0.0/kpm", "/1.1.0/helm", "", "/channels")
TARS = {Digest.of(tar).hex: packed(tar) for tar in (chart("1.0.0", str(number)) for number in range(6))}
MOVES = "apprproxy_moved_names_total"
STEPS = 80


def _steps(chance: random.Random) -> Iterator[tuple[str, int, Any]]:
    """What is done, at which gateway. Who asks does so more often than anything changes."""
    for _ in range(STEPS):
        what = chance.choices(
            [
                "ask",
                "again",
                "hold",
                "push",
                "delete",
                "channel",
                "behind",
                "lapse",
                "accept",
                "wait",
                "away",
                "back",
                "let go",
            ],
            [18, 3, 6, 7, 3, 1, 3, 0.7, 2, 2, 0.5, 2, 2],
        )[0]
        values: dict[str, Sequence[Any]] = {
            "wait": [1, 11, 61, 61, 300],
            "lapse": ["", "lost", "refused"],
            "channel": ["1.0.0", "1.1.0"],
            **dict.fromkeys(("ask", "again"), READS),
            "hold": [read for read in READS if not read.endswith("/pull")],  # who wants the same bytes joins a transfer
            **dict.fromkeys(("push", "behind"), tuple((title, tar) for title in TITLES for tar in TARS)),
        }
        yield what, chance.randrange(2), chance.choice(values.get(what, TITLES))


@dataclass
class State:
    """What its server has of the package, from a time on."""

    since: float
    manifests: dict[str, str]
    channels: dict[str, str]

    def has(self, read: str) -> bool:
        """Under a name that leads to one manifest."""
        release, _, media_type = read.removesuffix("/pull")[1:].partition("/")
        if media_type != "-":
            return f"{release}/{media_type}" in self.manifests
        return 1 == sum(title.startswith(f"{release}/") for title in self.manifests)


class Server:
    """Takes writes, and knows what it had when. ``lapse``: they are ``lost``, so that it has done what it answers 500
    to, or ``refused``. ``told`` has of each answer its path and the digests that it named."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock
        self._registry = Registry()
        self.lapse, self.away, self.failed = "", False, -1e9
        self.gate: Gate | None = None
        self.generation = 0
        self.told: list[tuple[str, dict[str, str]]] = []
        self.past: list[State] = []
        self._changed()

    def _changed(self) -> None:
        manifests = {"/".join(key[1:]): one["content"]["digest"] for key, one in self._registry.manifests.items()}
        channels = {name: one["current"] for name, one in self._registry.channels.get(PACKAGE, {}).items()}
        self.past.append(State(self._now(), manifests, channels))

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body, below = await request.read(), request.path.removeprefix(BASE)
        answer = self._read(request) if request.method == "GET" else self._written(request.method, below, body)
        named = _named(answer)
        if request.method == "GET" and self.gate is not None:
            await self.gate()
        if named:
            self.told.append((below, named))
        return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type})

    def _read(self, request: web.BaseRequest) -> Answer:
        if not self.away:
            return self._registry.answer("GET", request.raw_path)
        self.failed = self._now()
        return html(503)

    def _written(self, method: str, below: str, body: bytes) -> Answer:
        if self.lapse == "refused":
            return as_json({"code": "unauthorized-access", "message": "no"}, 401)
        if below.startswith("/channels/"):
            self._registry.channels.setdefault(PACKAGE, {}).pop("stable", None)
            self._registry.set_channel(PACKAGE, "stable", below.rpartition("/")[2])
        elif method == "POST":
            pushed = json.loads(body)
            self.push(f"{pushed['release']}/{pushed['media_type']}", base64.b64decode(pushed["blob"]))
        elif below[1:] in self.past[-1].manifests:
            self._registry.delete(PACKAGE, *below[1:].split("/"))
        else:
            return as_json({"code": "package-not-found", "message": "none"}, 404)
        self._changed()
        return html(500) if self.lapse == "lost" else as_json({"status": "ok"})

    def push(self, title: str, archive: bytes) -> None:
        release, _, media_type = title.partition("/")
        self._registry.push(PACKAGE, release, media_type, archive)
        self._changed()


def _named(answer: Answer) -> dict[str, str]:
    """The digests of the releases in a document."""
    if answer.status != 200 or answer.content_type != JSON:
        return {}
    document = json.loads(answer.body)
    found = document if isinstance(document, list) else [document]
    return {
        f"{one['release']}/{one['mediaType'].split('.')[-3]}": one["content"]["digest"]
        for one in found
        if "content" in one
    }


@dataclass
class First:
    digest: str
    pushed: str = ""
    moved_to: str = ""


@dataclass
class Firsts:
    """The first digests as they have to be. ``shown`` is what was shown last of a title, and ``past`` all that may be
    from memory."""

    first: dict[str, First] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    past: dict[str, set[str]] = field(default_factory=partial(defaultdict, set))
    moves: int = 0

    def pushed(self, title: str, digest: str) -> None:
        for one in (title, _alias(title)):
            if one in self.first:
                self.first[one].pushed = digest
            else:
                self.before[one] = digest

    def told(self, read: str, named: dict[str, str], *, current: bool) -> None:
        """``current``: nothing was written since that was asked for; else what is known stays as it is."""
        for title, digest in named.items():
            known, alias = self.first.get(title), self.first.get(_alias(title))
            old = known.digest if known is not None else ""
            self._claimed(title, digest, current=current)
            new = self.first[title]
            if old not in ("", new.digest) and alias is not None and alias.digest == old:
                self.first[_alias(title)] = First(new.digest, alias.pushed)
                self.past[_alias(title)].add(new.digest)
            if read.split("/")[2:3] == ["-"]:
                self._claimed(_alias(title), self.shown[title], current=current)

    def _claimed(self, title: str, digest: str, *, current: bool) -> None:
        known = self.first.get(title)
        if known is None:
            pushed = self.before.pop(title, "")
            self.first[title] = First(digest, "" if pushed == digest else pushed)
        elif digest in (known.digest, known.pushed):
            if current:
                self.first[title] = First(digest, known.pushed if digest == known.digest else "")
        else:
            self.moves += known.moved_to != digest
            known.moved_to = digest if current else known.moved_to
            digest = known.digest
        self.shown[title] = digest
        self.past[title].add(digest)

    def accept(self, title: str) -> str:
        """What is accepted, if it moved."""
        known, alias = self.first.get(title), self.first.get(_alias(title))
        if known is None or not known.moved_to:
            return ""
        for one in {title, _alias(title)} if alias is not None and alias.digest == known.digest else {title}:
            self.first[one], self.past[one] = First(known.moved_to), {known.moved_to}
        return known.moved_to


def _alias(title: str) -> str:
    return f"{title.partition('/')[0]}/-"


@dataclass
class Asked:
    """``floor`` is the state of before which nothing may be told any more, and ``fallen`` where its server cannot be
    asked; ``generation`` is that of then."""

    read: str
    generation: int
    floor: int
    fallen: int
    answer: asyncio.Task[Got]


class World:
    def __init__(self, clock: Clock, server: Server, gateways: list[RunningGateway]) -> None:
        self._clock, self._server, self._gateways = clock, server, gateways
        self._firsts = Firsts()
        self._floor, self._fallen = 0, defaultdict[str, int](int)
        self._held: tuple[Asked, Gate] | None = None

    async def step(self, what: str, which: int, value: Any) -> None:
        match what:
            case "ask" | "again" | "hold":
                await self._ask(which, value, again=what == "again", hold=what == "hold")
            case "push" | "delete" | "channel":
                await self._write(which, what, value)
            case "behind":
                self._server.push(value[0], TARS[value[1]])
            case "accept":
                self._accept(value)
            case "lapse":
                self._server.lapse = value
            case _:
                await self.let_go()
                self._server.away = what == "away" or (self._server.away and what != "back")
                self._clock.advance(value if what == "wait" else 0)

    async def _ask(self, which: int, read: str, *, again: bool = False, hold: bool = False) -> None:
        if self._held is not None and (hold or _key(read) == _key(self._held[0].read)):
            return  # it may be the same question
        gate = Gate()
        self._server.gate = gate if hold else None
        headers = {"Cache-Control": "no-cache"} if again else {}
        answer = asyncio.create_task(self._gateways[which].get(f"{BASE}{read}", headers=headers))
        asked = Asked(read, self._server.generation, self._floor, self._fallen[_key(read)], answer)
        await until(lambda: gate.waiting > 0 or answer.done())
        self._server.gate = None
        if answer.done():
            await self._judge(asked)
        else:
            self._held = asked, gate

    async def let_go(self) -> None:
        """What was held back is answered with what was so when it was asked, and nobody else is after that."""
        if self._held is not None:
            (asked, gate), self._held = self._held, None
            gate.open()
            await self._judge(asked)
            for which in range(2):
                await self._ask(which, asked.read)

    async def _write(self, which: int, what: str, value: Any) -> None:
        method, target, body = "DELETE", f"{BASE}/{value}", b""
        if what == "channel":
            method, target = "POST", f"{BASE}/channels/stable/{value}"
        elif what == "push":
            release, _, media_type = value[0].partition("/")
            blob = base64.b64encode(TARS[value[1]]).decode()
            method, target = "POST", f"{BASE}?force=true"
            body = json.dumps({"release": release, "media_type": media_type, "blob": blob}).encode()
        if (await self._gateways[which].get(target, method, body=body)).status == 200:
            self._floor = len(self._server.past) - 1
            self._fallen |= dict.fromkeys(_changed(what, value), self._floor)
            self._server.generation += 1
            if what == "push":
                self._firsts.pushed(*value)

    def _accept(self, title: str) -> None:
        if digest := self._firsts.accept(title):
            self._server.generation += 1
            first, aliases = FirstSeen(Digest("sha256", digest), self._clock()), [f"{PACKAGE}@{_alias(title)}"]
            self._gateways[0].app.names.accept("up", PACKAGE, f"{PACKAGE}@{title}", first, aliases)

    async def _judge(self, asked: Asked) -> None:
        found, read = await asked.answer, asked.read
        for path, named in self._server.told:
            if path or not read:  # else it was looked which formats there are
                self._firsts.told(read or path, named, current=asked.generation == self._server.generation)
        self._server.told.clear()
        assert self._firsts.moves == sum(one.total(MOVES) for one in self._gateways)
        unseen = read.endswith("/pull") and "uri-miss" in found.cache  # how old the name was: it is the bytes' word
        floor = asked.fallen if self._failed else asked.floor
        states = self._states(floor, kept=unseen or "gone-upstream" in found.cache)
        if found.status != 200:
            assert self._failed or (found.status in (400, 404) and any(_lacks(state, read) for state in states))
        elif read == "/channels":
            assert {one["name"]: one["current"] for one in found.json} in [state.channels for state in states]
        elif not read:
            named = _named(Answer(200, found.body))
            assert named.keys() in [state.manifests.keys() for state in states]
            for title, digest in named.items():
                self._is_first(title, digest, found)
        else:
            assert read.split("/")[2] == "-" or any(state.has(read) for state in states)
            pulled = read.endswith("/pull")
            digest = Digest.of(unpacked(found.body)).hex if pulled else found.json["content"]["digest"]
            if not unseen:
                self._is_first(_key(read)[1:], digest, found)

    @property
    def _failed(self) -> bool:
        """It may not have been asked since."""
        return self._clock() - self._server.failed <= LONGEST_SHUT

    def _states(self, floor: int, *, kept: bool) -> list[State]:
        """What may be told of now: what is so, or was within its terms; of what is kept, whatever was since it was
        written through here."""
        past, now = self._server.past[floor:], self._clock()
        since = -1.0 if kept else now - FRESH - (STALE if self._failed else 0)
        return [one for at, one in enumerate(past) if at + 1 == len(past) or past[at + 1].since >= since]

    def _is_first(self, title: str, digest: str, found: Got) -> None:
        """What comes from its server is what stands, and what is remembered has stood since something was accepted,
        unless its server cannot be asked."""
        if self._failed or "gone-upstream" in found.cache:
            return
        assert digest in self._firsts.past[title]
        assert "fwd" not in found.cache or digest == self._firsts.shown[title]


def _changed(what: str, value: Any) -> Sequence[str]:
    """Under which names it shows."""
    match what:
        case "push":
            return f"/{value[0]}", f"/{_alias(value[0])}"
        case "delete":
            return f"/{value}", f"/{_alias(value)}", ""
        case _:
            return ("/channels",)


def _key(read: str) -> str:
    return read.removesuffix("/pull")


def _lacks(state: State, read: str) -> bool:
    return not state.manifests if read in ("", "/channels") else not state.has(read)


@pytest.mark.parametrize("seed", range(300 if EXPLORING else 4))
async def test_nobody_reads_anything_older_than_what_was_written(tmp_path: Path, clock: Clock, seed: int) -> None:
    chance, server = random.Random(seed), Server(clock)
    async with AsyncExitStack() as stack:
        terms: dict[str, Any] = {"fresh_for": f"{FRESH}s", "stale_for": f"{STALE}s", "missing_for": f"{MISSING}s"}
        terms |= {"timeouts": {"revalidate": "1m", "name": "1m"}, "gone": chance.choice(["keep", "follow"])}
        url = await stack.enter_async_context(listening(server))
        section = {"kind": "appr", "url": url, "writes": "pass", **terms}
        gateways = [
            await stack.enter_async_context(running_gateway(tmp_path, {"up": section}, clock)) for _ in range(2)
        ]
        world = World(clock, server, gateways)
        for one in _steps(chance):
            await world.step(*one)
        await world.let_go()
