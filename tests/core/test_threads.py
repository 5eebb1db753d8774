"""Long documents are read one at a time for each turn, in threads that nothing else needs."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.core.threads import in_turn, unhurried


async def test_what_is_read_aside_takes_no_thread_that_files_are_read_in() -> None:
    done = threading.Event()
    reading = [asyncio.create_task(in_turn(asyncio.Lock(), done.wait, 30)) for _ in range(50)]
    try:
        assert "read" == await asyncio.wait_for(asyncio.to_thread(lambda: "read"), 10)
    finally:
        done.set()
        await asyncio.gather(*reading)


async def test_what_no_pull_waits_for_keeps_no_document_waiting() -> None:
    done = threading.Event()
    reading = [asyncio.create_task(unhurried(done.wait, 30)) for _ in range(50)]
    try:
        assert "read" == await asyncio.wait_for(in_turn(asyncio.Lock(), lambda: "read"), 10)
    finally:
        done.set()
        await asyncio.gather(*reading)


async def test_a_turn_lasts_until_its_document_has_been_read_even_if_nobody_waits_for_it() -> None:
    turn, begun, done = asyncio.Lock(), threading.Event(), threading.Event()

    def read() -> None:
        begun.set()
        done.wait(30)
        raise ValueError("which nobody is told")

    first = asyncio.create_task(in_turn(turn, read))
    await asyncio.to_thread(begun.wait, 30)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(in_turn(turn, lambda: "read"))
    await asyncio.sleep(0)

    assert turn.locked()
    assert not second.done()
    done.set()
    assert "read" == await second
    assert not turn.locked()


async def test_who_leaves_before_its_turn_has_none() -> None:
    turn = asyncio.Lock()
    async with turn:
        waiting = asyncio.create_task(in_turn(turn, lambda: "read"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert not turn.locked()


async def test_a_thread_that_cannot_be_begun_costs_nobody_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = asyncio.Lock()

    def none_left(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr("apprproxy.core.threads.READERS", threads)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            with pytest.raises(StoreFailed, match="can't start new thread"):
                await in_turn(turn, bytes)

        assert b"" == await in_turn(turn, bytes)
