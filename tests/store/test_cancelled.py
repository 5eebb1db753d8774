"""A writer that was cancelled leaves its file to the thread that still writes there, and nobody else's file suffers.

A descriptor that is closed under a writing thread gets its number again with the next file that is opened: the late
write would land in another blob, behind the back of that blob's hash.
"""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected
from apprproxy.store.blobs.ingest import PIECE
from tests.store.contents import prepared

LOST, KEPT = b"a" * PIECE, b"b" * 1000


async def test_a_late_write_does_not_land_in_another_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = prepared(tmp_path)
    begun, go_on, written = threading.Event(), threading.Event(), threading.Event()
    write = os.write

    def slow_write(fd: int, piece: bytes) -> int:
        begun.set()
        go_on.wait(10)
        count = write(fd, piece)
        written.set()
        return count

    async def lose() -> None:
        async with store.ingest(Expected(Digest.of(LOST)), "hub") as ingest:
            await ingest.write(LOST)
            await ingest.commit()

    monkeypatch.setattr(os, "write", slow_write)
    losing = asyncio.create_task(lose())
    await asyncio.to_thread(begun.wait, 10)
    losing.cancel()
    await asyncio.wait([losing], timeout=0.05)  # it waits for its thread
    monkeypatch.setattr(os, "write", write)
    async with store.ingest(Expected(Digest.of(KEPT)), "hub") as ingest:
        await ingest.write(KEPT)
        go_on.set()
        await asyncio.to_thread(written.wait, 10)
        await ingest.commit()
    await asyncio.gather(losing, return_exceptions=True)
    held = await store.find(Expected(Digest.of(KEPT)))

    assert held is not None
    assert KEPT == await held.read()
    assert await store.find(Expected(Digest.of(LOST))) is None


async def test_what_a_cancelled_writer_left_is_removed(tmp_path: Path) -> None:
    store = prepared(tmp_path)

    async def lose() -> None:
        async with store.ingest(Expected(Digest.of(LOST * 20)), "hub") as ingest:
            for _ in range(20):
                await ingest.write(LOST)

    losing = asyncio.create_task(lose())
    await asyncio.sleep(0)
    losing.cancel()
    await asyncio.gather(losing, return_exceptions=True)
    await asyncio.to_thread(store.close)

    assert [] == list((tmp_path / "ingest").iterdir())


def none_left(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_what_is_left_is_closed_though_no_thread_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(tmp_path)
    begun, go_on = threading.Event(), threading.Event()
    write = os.write

    def slow_write(fd: int, piece: bytes) -> int:
        begun.set()
        go_on.wait(10)
        return write(fd, piece)

    partial = (await store.claim(Expected(Digest.of(LOST)))).partial
    assert partial is not None
    monkeypatch.setattr(os, "write", slow_write)
    await partial.write(LOST)
    await asyncio.to_thread(begun.wait, 10)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        leaving = asyncio.create_task(partial.leave(keep=True))
        await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.wait([leaving], timeout=10)

    assert leaving.done()


async def test_a_file_that_is_claimed_is_somebody_s_though_no_thread_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        claimed = await asyncio.gather(store.claim(Expected(Digest.of(LOST))), return_exceptions=True)
    later = await store.claim(Expected(Digest.of(LOST)))

    assert [None, False] == [later.partial, isinstance(claimed[0], BaseException)]


async def test_a_start_without_threads_says_what_is_too_low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, start = list[threading.Thread](), threading.Thread.start

    def two(thread: threading.Thread) -> None:
        if len(begun) == 2:
            none_left(thread)
        begun.append(thread)
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", two)
        with pytest.raises(StoreFailed, match="ulimit -u"):
            prepared(tmp_path)

    assert [False, False] == [thread.is_alive() for thread in begun]
