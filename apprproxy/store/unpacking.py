"""Packages unpacked, and what transfers left hashed anew, in threads of their own, one at a time for each source.

A small package may unpack to a hundred times as much, and what was left may be the whole cache: in the threads that
write, a few would hold up everybody's transfers, and here one source's would hold up all others'.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from apprproxy.core.digest import Digest
from apprproxy.core.errors import CutOff, Lied, StoreFailed
from apprproxy.store.calls import on_loop
from apprproxy.store.unpacked import NotGzip, Unfinished, unpacked_digest

T = TypeVar("T")

_THREADS = ThreadPoolExecutor(2, thread_name_prefix="unpack")
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


async def begun(source: str, call: Callable[..., T], *args: object) -> Future[T]:
    """The call as it is carried out, once it is the source's turn, which lasts until it has ended even if its caller
    has gone."""
    turn = _turns.setdefault(source, asyncio.Lock())
    await turn.acquire()
    try:
        working = _THREADS.submit(call, *args)
    except RuntimeError as error:  # no thread can be begun
        turn.release()
        raise StoreFailed(f"what was sent cannot be unpacked: {error}") from error
    working.add_done_callback(on_loop(turn.release))
    return working


def digest_sent(source: str, read: Callable[[int, int], bytes], algorithm: str) -> Digest:
    """Of the tar in what the source sent. Blocking; raises Lied."""
    try:
        return unpacked_digest(read, algorithm)
    except NotGzip as error:
        fault = CutOff if isinstance(error, Unfinished) else Lied
        raise fault(source, f"sent what is no package: {error}") from error


async def digest_inside(read: Callable[[], bytes]) -> Digest | None:
    """Implements Unpacks, one after the other."""
    return await asyncio.wrap_future(await begun("what is written", _digest_inside, read))


def _digest_inside(read: Callable[[], bytes]) -> Digest | None:
    packed = read()
    try:
        return unpacked_digest(lambda offset, count: packed[offset : offset + count])
    except NotGzip:
        return None
