"""Packages of one upstream wait for each other, and for nobody else's."""

import asyncio
import threading
import zlib
from contextlib import suppress

import pytest

from apprproxy.core.errors import CutOff
from apprproxy.store.blobs.unpacking import Threads, digest_sent, hashing, unpacking
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
    both, three = threading.Barrier(2), threading.Barrier(3)
    met = list[int]()

    def goes_on(number: int) -> None:
        if number < 2:
            both.wait(PATIENCE)
        with suppress(threading.BrokenBarrierError):
            three.wait(0.1)
            met.append(number)

    together = [await unpacking.begun(f"up{number}", goes_on, number) for number in range(6)]
    await asyncio.gather(*map(asyncio.wrap_future, together))

    assert [] == met


async def test_packages_that_take_long_are_unpacked_by_pieces() -> None:
    go, started = threading.Event(), set[str]()

    def unpacked(upstream: str) -> None:
        packer = zlib.compressobj(level=0, wbits=31)

        def read(_: int, __: int) -> bytes:
            started.add(upstream)
            return b"" if go.is_set() else packer.compress(bytes(1024)) + packer.flush(zlib.Z_SYNC_FLUSH)

        with suppress(CutOff):
            digest_sent(upstream, read, "sha256")

    busy = [await unpacking.begun(f"evil{number}", unpacked, f"evil{number}") for number in range(3)]
    try:
        await until(lambda: len(started) == len(busy))
    finally:
        go.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))

    assert 3 == len(started)


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
