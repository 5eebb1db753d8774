"""Whatever is pulled, cut, spoilt, killed, pinned and evicted: no completed answer is wrong, no wrong file is visible,
the cap and the pins are kept, and nothing is fetched twice unless a source failed or something had to go."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fakes import lies
from tests.fakes.lies import Behaviour, Honest
from tests.fakes.ranged import by_range, stopping_at
from tests.model.nursery import nursery
from tests.model.world import SIZES, TAGS, World

EXAMPLES = settings(
    max_examples=15,
    stateful_step_count=14,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def spoilt() -> Behaviour:
    """The first byte is another one."""

    async def answer(request: Any, honest: Honest) -> Any:
        wrong = bytes([honest.body[0] ^ 0xFF]) + honest.body[1:] if honest.status == 200 else honest.body
        return await by_range(request, Honest(honest.status, wrong, honest.headers))

    return answer


BEHAVIOURS: dict[str, Behaviour] = {
    "honest": by_range,
    "spoilt": spoilt(),
    "cut": stopping_at((2_000_000, None)),
    "without ranges": lies.honestly,
    "a page": lies.page(200),
    "away": lies.page(503),
}
blobs = st.integers(0, len(SIZES) - 1)


class Machine(RuleBasedStateMachine):
    """Every example has a server process and a cache of its own."""

    nursery: Any

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.folder = Path(self.stack.enter_context(TemporaryDirectory()))

    def run(self, step: Coroutine[Any, Any, Any]) -> None:
        self.runner.run(step)

    @initialize(patience=st.sampled_from(["0s", "10s"]), stream=st.sampled_from(["owner", "any", "never"]))
    def begin(self, patience: str, stream: str) -> None:
        self.world = World(self.nursery, self.folder, {"patience": patience, "stream": stream})
        self.run(self.world.begin())

    @rule(number=blobs)
    def pull(self, number: int) -> None:
        self.run(self.world.pull(number))

    @rule(chosen=st.lists(blobs, min_size=2, max_size=6))
    def pull_together(self, chosen: list[int]) -> None:
        async def herd() -> None:
            async with asyncio.TaskGroup() as group:
                for number in chosen:
                    group.create_task(self.world.pull(number))

        self.run(herd())

    @rule(number=blobs, start=st.integers(0, 25 << 20), length=st.integers(1, 9 << 20))
    def pull_part(self, number: int, start: int, length: int) -> None:
        start %= SIZES[number]
        self.run(self.world.pull(number, (start, min(start + length, SIZES[number]))))

    @rule(number=st.integers(3, len(SIZES) - 1), grown=st.integers(1, 3 << 20), spoil=st.booleans())
    def kill(self, number: int, grown: int, spoil: bool) -> None:
        self.run(self.world.kill(number, grown, spoil=spoil))

    @rule(number=blobs)
    def rot(self, number: int) -> None:
        self.run(self.world.rot(number))

    @rule(how=st.sampled_from(sorted(BEHAVIOURS)))
    def mirror_changes(self, how: str) -> None:
        self.world.behave(mirror=BEHAVIOURS[how])

    @rule(how=st.sampled_from(["honest", "honest", "spoilt", "cut"]))
    def owner_changes(self, how: str) -> None:
        self.world.behave(owner=BEHAVIOURS[how])

    @precondition(lambda self: not self.world.pinned)
    @rule(tag=st.sampled_from(TAGS[:-1]))
    def pin(self, tag: int) -> None:
        self.run(self.world.pin(tag))

    @invariant()
    def holds(self) -> None:
        self.run(self.world.check())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.end())
        self.stack.close()


@pytest.fixture
def machine() -> Any:
    with nursery() as nest:
        yield type("Seeded", (Machine,), {"nursery": nest})


def test_the_invariants_hold_whatever_is_done(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=EXAMPLES)
