"""Whatever happens in whatever order: a name is answered with what its owner says, or said within its terms."""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.core.laws import EXPLORING
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest, oci_error
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour, Honest
from tests.fakes.registry import Registry

FRESH, STALE, MISSING = 60, 600, 10  # seconds
LONGEST_SHUT = 61
"""Seconds for which an upstream that failed is not asked, at the most, and a little."""
REPOSITORY, TAGS = "library/app", ("1.0", "2.0")
MEMBERS = ("first", "second")
FAULTS: dict[str, Behaviour] = {
    "away": lies.says(503),
    "a page": lies.page(404),
    "no word": lies.says(404, oci_error("UNKNOWN")),
    "denied": lies.says(403, oci_error("DENIED")),
    "hangs up": lies.hangs_up,
}

STEPS = 150


def _steps(chance: random.Random) -> Iterator[tuple[str, str, Any]]:
    """Who asks does so more often than anything changes, and what fails is soon mended."""
    for _ in range(STEPS):
        whose, tag = chance.choice(MEMBERS), chance.choice(TAGS)
        match chance.choices(["ask", "push", "take", "fault", "mend", "wait"], [8, 2, 1, 1, 2, 3])[0]:
            case "ask":
                yield "ask", chance.choice(["", "", "/first", "/second"]), tag
            case "fault":
                yield "fault", whose, chance.choice([*FAULTS])
            case "mend":
                yield "fault", whose, ""
            case "wait":
                yield "wait", "", chance.choice([1, 5, 11, 61, 61, 300, 700])
            case what:
                yield what, whose, tag


class Owner(Registry):
    """Knows when a tag named what, and when it said with authority that it has it not (``refused``), or nothing at all
    (``lacked``)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._now = clock
        self.past: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.fault, self.failed, self.lacked = "", -1e9, -1e9
        self.on["tag"] = self.on["tags"] = self.on["manifest"] = self._behave
        self.refused: dict[str, float] = defaultdict(lambda: -1e9)
        self._pushes = 0

    async def _behave(self, request: Any, honest: Honest) -> Any:
        if self.fault:
            self.failed = self._now()
            return await FAULTS[self.fault](request, honest)
        if not self.now:
            self.lacked = self._now()
        if honest.status == 404:
            self.refused[request.path.rpartition("/")[2]] = self._now()
        return await lies.honestly(request, honest)

    @property
    def now(self) -> dict[str, str]:
        return {tag: said[-1][1] for tag, said in self.past.items() if said[-1][1]}

    def change(self, tag: str, *, take: bool) -> None:
        if take and tag not in self.now:
            return
        self._pushes += 1
        if take:
            self.delete(REPOSITORY, tag)
        content = b"" if take else self.push(REPOSITORY, tag, b"", note=f"{id(self)} {self._pushes}")
        self.past[tag].append((self._now(), digest(content) if content else ""))

    def said(self, tag: str, since: float) -> set[str]:
        """What it named within this time."""
        before = [one for at, one in self.past[tag] if at < since]
        return {one for at, one in self.past[tag] if at >= since} | {*before[-1:]}


class World:
    """Two owners, a gateway with a view of both, and what the view has answered so far."""

    def __init__(self, clock: Clock, owners: dict[str, Owner], gateway: Running) -> None:
        self._clock, self._owners, self._gateway = clock, owners, gateway
        self._found: dict[str, str] = {}

    async def step(self, what: str, whose: str, value: Any) -> None:
        match what:
            case "ask":
                await self._ask(whose, value)
            case "wait":
                self._clock.advance(value)
            case "fault":
                self._owners[whose].fault = value
            case _:
                self._owners[whose].change(value, take=what == "take")

    async def _ask(self, prefix: str, tag: str) -> None:
        found = await self._gateway.get(f"/v2{prefix}/{REPOSITORY}/manifests/{tag}")
        if found.status == 200:
            origin = found.headers["Apprproxy-Upstream"]
            assert digest(found.body) in self._may_say(origin, tag)
            assert prefix in ("", f"/{origin}")
            if not prefix:
                assert self._may_answer(origin, tag)
                self._found[tag] = origin
        else:
            asked = prefix[1:] or self._found.get(tag, MEMBERS[0])
            assert found.status in (403, 404, 502, 503)
            assert not self._must_answer(asked, tag)

    def _may_say(self, origin: str, tag: str) -> set[str]:
        """What it says, or said so lately; where it failed, and may not have been asked since, what it said before."""
        owner, now = self._owners[origin], self._clock()
        failed = now - owner.failed <= LONGEST_SHUT
        return owner.said(tag, now - FRESH - (STALE if failed else 0))

    def _may_answer(self, origin: str, tag: str) -> bool:
        """Who had it before, or whoever no member is before that has the repository, or cannot say."""
        if self._found.get(tag, MEMBERS[0]) == origin:
            return True
        had = self._owners[MEMBERS[1 - MEMBERS.index(origin)]]
        no = max(had.lacked, had.refused[tag]) if origin == MEMBERS[0] else had.lacked
        return self._clock() - no <= MISSING

    def _must_answer(self, asked: str, tag: str) -> bool:
        """It has it, for longer than that it had none is remembered, and it has not failed for a while."""
        owner, now = self._owners[asked], self._clock()
        since = now - owner.past[tag][-1][0] if tag in owner.now else 0
        return since > MISSING and not owner.fault and now - owner.failed > LONGEST_SHUT


@pytest.mark.parametrize("seed", range(300 if EXPLORING else 6))
async def test_a_name_is_its_owners_within_its_terms(gateways: Gateways, clock: Clock, seed: int) -> None:
    async with AsyncExitStack() as stack:
        owners = {name: await stack.enter_async_context(Owner(clock)) for name in MEMBERS}
        terms = {"fresh_for": f"{FRESH}s", "stale_for": f"{STALE}s", "missing_for": f"{MISSING}s"}
        sections = {name: oci(owner, **terms) for name, owner in owners.items()}
        gateway = await gateways.start(sections, views={"default": [*MEMBERS]})
        world = World(clock, owners, gateway)
        for one in _steps(random.Random(seed)):
            await world.step(*one)
