"""What is made for whoever asks is bounded over all who ask, is made one after the other, and once for all alike."""

import asyncio
import threading

import pytest

from apprproxy.core.errors import Crowded
from apprproxy.face.large import SMALL, Large
from tests.fakes.clock import until

UNIT = SMALL + 1


def letting(units: int, patience: float = 60.0) -> Large:
    return Large(units * UNIT, patience)


class Holding:
    """A client that is being sent a body until it is let go."""

    def __init__(
        self, large: Large, key: str, size: int = UNIT, body: bytes = bytes(UNIT), whose: str = "view"
    ) -> None:
        self.made = 0
        self.body: bytes | None = None
        self._told = body
        self._left = asyncio.Event()
        self.task = asyncio.create_task(self._hold(large, whose, key, size))

    async def _hold(self, large: Large, whose: str, key: str, size: int) -> None:
        async with large.body(whose, key, size, self._make) as self.body:
            await self._left.wait()

    def _make(self) -> bytes:
        self.made += 1
        return self._told

    async def served(self) -> None:
        await until(lambda: self.body is not None)

    async def leave(self) -> None:
        self._left.set()
        await self.task


async def test_room_is_given_back_when_a_body_has_been_sent() -> None:
    large = letting(2)
    holding = [Holding(large, key) for key in "abc"]
    await holding[0].served()
    await holding[1].served()
    waited = holding[2].body is None
    await holding[0].leave()
    await holding[2].served()

    assert waited
    for one in holding[1:]:
        await one.leave()


async def test_who_finds_no_room_is_told_to_come_back() -> None:
    large = letting(1, patience=0.05)
    holding = Holding(large, "a")
    await holding.served()
    with pytest.raises(Crowded) as refused:
        async with large.body("view", "b", UNIT, lambda: b""):
            pass
    await holding.leave()

    assert 0.05 == refused.value.retry_after
    async with large.body("view", "b", UNIT, lambda: b"fits") as body:
        assert b"fits" == body


async def test_all_who_ask_the_same_are_told_to_come_back_in_time() -> None:
    large, patience = letting(1, patience=0.3), 0.3
    holding = Holding(large, "a")
    await holding.served()
    now = asyncio.get_running_loop().time
    begun = now()

    async def ask() -> float:
        with pytest.raises(Crowded):
            async with large.body("view", "b", UNIT, lambda: b""):
                pass
        return now() - begun

    waited = await asyncio.gather(*(ask() for _ in range(30)))
    await holding.leave()

    assert max(waited) < 10 * patience


async def test_who_does_not_have_its_turn_is_told_to_come_back() -> None:
    large, going_on = letting(9, patience=0.05), threading.Event()
    first = asyncio.create_task(large.aside("view", "a", lambda: going_on.wait(30)))
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await large.aside("view", "b", bytes)
    going_on.set()

    assert await first
    assert b"" == await large.aside("view", "b", bytes)


async def test_what_has_begun_is_waited_for() -> None:
    large = letting(9, patience=0.02)

    assert await large.aside("view", "a", lambda: threading.Event().wait(0.1) is False)


async def test_what_is_read_aside_is_given_to_all_who_ask_for_it_meanwhile() -> None:
    large = letting(9)
    made: list[int] = []

    def take_apart() -> int:
        made.append(len(made))
        return made[-1]

    together = await asyncio.gather(*(large.aside("view", "a", take_apart) for _ in range(9)))

    assert [0] * 9 == together
    assert 1 == await large.aside("view", "a", take_apart)


async def test_whoever_takes_over_from_one_who_left_is_given_what_is_made_then() -> None:
    large, going_on = letting(9), threading.Event()
    before = asyncio.create_task(large.aside("view", "before", lambda: going_on.wait(30)))
    await asyncio.sleep(0)
    first, second = (asyncio.create_task(large.aside("view", "a", lambda: b"a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    going_on.set()

    assert await before
    assert b"a" == await second


async def test_what_is_small_is_not_counted() -> None:
    large = letting(1, patience=0.05)
    holding = Holding(large, "a")
    await holding.served()
    async with large.body("view", "b", SMALL, lambda: b"small") as body:
        assert b"small" == body
    await holding.leave()


async def test_what_turns_out_smaller_leaves_the_rest_to_others() -> None:
    large = letting(2)
    holding = [Holding(large, "a", 2 * UNIT, bytes(UNIT)), Holding(large, "b"), Holding(large, "c", 2 * UNIT, b"")]
    await holding[0].served()
    await holding[1].served()
    for one in holding:
        await one.leave()

    assert b"" == holding[2].body


async def test_a_body_larger_than_the_budget_is_sent_alone() -> None:
    large = letting(2)
    holding = Holding(large, "a", 99 * UNIT, bytes(99 * UNIT))
    await holding.served()
    other = Holding(large, "b")
    await asyncio.sleep(0)

    assert other.body is None
    await holding.leave()
    await other.leave()


async def test_those_who_ask_the_same_are_sent_the_same_bytes() -> None:
    large = letting(1)
    holding = [Holding(large, "a") for _ in range(9)]
    for one in holding:
        await one.served()
    made = sum(one.made for one in holding)
    for one in holding:
        await one.leave()
    again = Holding(large, "a")
    await again.served()
    await again.leave()

    assert (1, 1) == (made, again.made)
    assert 1 == len({id(one.body) for one in holding})


async def test_whoever_leaves_while_it_waits_takes_nothing_with_it() -> None:
    large = letting(1)
    holding = [Holding(large, key) for key in "abc"]
    await holding[0].served()
    holding[1].task.cancel()
    await asyncio.wait([holding[1].task])
    await holding[0].leave()
    await holding[2].served()
    await holding[2].leave()

    async with large.body("view", "d", UNIT, lambda: b"d") as body:
        assert b"d" == body


async def test_what_cannot_be_made_leaves_its_room_to_who_asks_next() -> None:
    large = letting(1)

    def fails() -> bytes:
        raise ValueError("no list")

    for _ in range(3):
        with pytest.raises(ValueError, match="no list"):
            async with large.body("view", "a", UNIT, fails):
                pass

    async with large.body("view", "a", UNIT, lambda: b"a") as body:
        assert b"a" == body


async def test_one_is_made_at_a_time() -> None:
    large, busy, most = letting(99), threading.Semaphore(1), []

    def make() -> bytes:
        most.append(busy.acquire(blocking=False))
        threading.Event().wait(0.01)
        busy.release()
        return b""

    async def ask(number: int) -> None:
        async with large.body("view", number, UNIT, make):
            pass

    await asyncio.gather(*(ask(number) for number in range(8)))

    assert [True] * 8 == most


async def test_of_much_that_is_wanted_of_one_view_one_is_made_before_what_is_wanted_of_another() -> None:
    large, made = letting(3), list[str]()
    going_on = threading.Event()

    async def ask(whose: str, key: str, size: int) -> None:
        def make() -> bytes:
            going_on.wait(10)
            made.append(key)
            return b""

        async with large.body(whose, key, size, make):
            pass

    long = [asyncio.create_task(ask("one", f"{number}", UNIT)) for number in range(9)]
    aside = [asyncio.create_task(large.aside("one", number, lambda: made.append("aside"))) for number in range(9)]
    await asyncio.sleep(0)
    other = asyncio.create_task(ask("other", "other", 3 * UNIT))
    await asyncio.sleep(0)
    going_on.set()
    await asyncio.gather(other, *long, *aside)

    assert made.index("other") < 3
