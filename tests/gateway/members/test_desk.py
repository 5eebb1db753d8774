"""Of an upstream's long documents one is read at a time, and none keeps another upstream's, or a short one, waiting."""

import asyncio
import threading

from apprproxy.core.digest import Digest
from apprproxy.core.reading import FEW_VALUES, LARGE
from apprproxy.core.threads import in_turn
from apprproxy.gateway.members.desk import Desk
from apprproxy.store.blobs.held import MemoryHeld
from tests.fakes.clock import until
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry


def document(size: int) -> MemoryHeld:
    content = b"x" * size
    return MemoryHeld(content, Digest.of(content))


async def test_one_upstreams_long_documents_take_one_thread() -> None:
    slow, other, done = Desk(), Desk(), threading.Event()
    begun: list[int] = []

    def read(content: bytes) -> int:
        begun.append(len(content))
        done.wait(30)
        return len(content)

    many = b"[" + b"{}," * FEW_VALUES + b"{}]"
    waiting = [asyncio.create_task(slow.read(document(LARGE), read)) for _ in range(5)]
    tedious = asyncio.create_task(slow.read(MemoryHeld(many, Digest.of(many)), len))
    try:
        await until(lambda: len(begun) == 1)

        assert LARGE + 1 == await asyncio.wait_for(other.read(document(LARGE + 1), len), 10)
        assert LARGE - 1 == await asyncio.wait_for(slow.read(document(LARGE - 1), len), 10)
        assert [LARGE] == begun
        assert not tedious.done(), "it is short, and takes as long as a long one"
    finally:
        done.set()
        await asyncio.gather(*waiting, tedious)


async def test_a_pull_does_not_wait_for_what_reads_long_documents(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    done = threading.Event()
    reading = [asyncio.create_task(in_turn(asyncio.Lock(), done.wait, 30)) for _ in range(10)]
    try:
        got = await asyncio.wait_for(gateway.get("/v2/hub/library/app/manifests/1.0"), 10)
    finally:
        done.set()
        await asyncio.gather(*reading)

    assert 200 == got.status
