"""Packages of one upstream wait for each other, and for nobody else's."""

import asyncio
import threading

import pytest

from apprproxy.store.blobs.unpacking import Threads, hashing, unpacking
from tests.fakes.clock import PATIENCE, until


@pytest.mark.parametrize("mirror", ["evil", "evil mirror-1"])
async def test_who_keeps_one_thread_busy_leaves_the_other_one(mirror: str) -> None:
    go, started = threading.Event(), []

    def unpacked(number: int) -> None:
        started.append(number)
        go.wait()

    waiting = [asyncio.create_task(unpacking.begun("evil", unpacked, number)) for number in range(3)]
    waiting += [asyncio.create_task(unpacking.begun(mirror, unpacked, number)) for number in (3, 4)]
    await until(lambda: bool(started))
    try:
        async with asyncio.timeout(PATIENCE):
            other = await asyncio.wrap_future(await unpacking.begun("good", lambda: "unpacked"))
        before = list(started)
    finally:
        go.set()
        for one in waiting:
            await asyncio.wrap_future(await one)

    assert "unpacked" == other
    assert [0] == before
    assert [0, 1, 2, 3, 4] == sorted(started)


@pytest.mark.parametrize("threads", [unpacking, hashing])
async def test_several_upstreams_whose_packages_take_long_keep_no_other_s_waiting(threads: Threads) -> None:
    go, started = threading.Event(), set[int]()

    def goes_on(number: int) -> None:
        while not go.is_set():
            started.add(number)
            threads.next_piece()

    busy = [await threads.begun(f"evil{number}", goes_on, number) for number in range(8)]
    try:
        await until(lambda: len(started) == len(busy))
        async with asyncio.timeout(PATIENCE):
            other = await asyncio.wrap_future(await threads.begun("good", lambda: "unpacked"))
    finally:
        go.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))

    assert "unpacked" == other


async def test_two_upstreams_go_on_at_once() -> None:
    both, going_on, most = threading.Barrier(2), list[int](), list[int]()

    def goes_on(number: int) -> None:
        for _ in range(50):
            going_on.append(number)
            most.append(len(going_on))
            going_on.remove(number)
            unpacking.next_piece()
        if number < 2:
            both.wait(PATIENCE)

    together = [await unpacking.begun(f"up{number}", goes_on, number) for number in range(6)]
    await asyncio.gather(*map(asyncio.wrap_future, together))

    assert max(most) <= 2


def test_a_turn_that_was_left_when_its_loop_ended_is_in_nobody_s_way() -> None:
    go = threading.Event()

    async def left() -> None:
        await unpacking.begun("evil", go.wait)

    async def unpacked() -> str:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.wrap_future(await unpacking.begun("evil", lambda: "unpacked"))

    asyncio.run(left())
    try:
        assert "unpacked" == asyncio.run(unpacked())
    finally:
        go.set()


async def test_what_a_mirror_sent_is_not_all_before_what_its_upstream_sent() -> None:
    go, started = threading.Event(), []

    def unpacked(number: int) -> None:
        started.append(number)
        go.wait()

    waiting = [asyncio.create_task(unpacking.begun("up mirror-1", unpacked, number)) for number in range(5)]
    await until(lambda: bool(started))
    waiting.append(asyncio.create_task(unpacking.begun("up", unpacked, 5)))
    await asyncio.sleep(0)
    go.set()
    for one in waiting:
        await asyncio.wrap_future(await one)

    assert 5 in started[:3]


async def test_a_turn_lasts_until_the_thread_has_ended_though_nobody_waits_for_it() -> None:
    go, started = threading.Event(), threading.Event()

    def unpacked() -> None:
        started.set()
        go.wait()

    await unpacking.begun("evil", unpacked)
    await until(started.is_set)
    next_one = asyncio.create_task(unpacking.begun("evil", lambda: "unpacked"))
    await asyncio.sleep(0)
    waits = not next_one.done()
    go.set()

    assert waits
    assert "unpacked" == await asyncio.wrap_future(await next_one)


async def test_what_is_hashed_anew_holds_up_no_package() -> None:
    go, started = threading.Event(), []

    def hashed(number: int) -> None:
        started.append(number)
        go.wait()

    busy = [await hashing.begun(f"evil-{number}", hashed, number) for number in range(3)]
    await until(lambda: bool(started))
    try:
        async with asyncio.timeout(PATIENCE):
            other = await asyncio.wrap_future(await unpacking.begun("evil-0", lambda: "unpacked"))
    finally:
        go.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))

    assert "unpacked" == other
    assert [0, 1, 2] == sorted(started)
