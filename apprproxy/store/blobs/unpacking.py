"""Packages unpacked, and what transfers left hashed anew, in threads of their own, one at a time for each upstream.

A small package may unpack to a hundred times as much, and what was left may be the whole cache: in the threads that
write, a few would hold up everybody's transfers, and here those of one upstream, with its mirrors, would hold up all
others'. One of each source waits for its upstream's turn, so that a mirror's many are not all before the owner's. A
package takes seconds at the most, what was left takes minutes: neither waits for the other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from apprproxy.core.digest import Digest
from apprproxy.core.errors import CutOff, Lied, StoreFailed
from apprproxy.core.label import whose
from apprproxy.store.blobs.unpacked import NotGzip, Unfinished, unpacked_digest
from apprproxy.store.calls import on_loop

T = TypeVar("T")

UNPACKING = 8
"""Threads: so many upstreams would have to send what takes five seconds, for others' packages to wait. Each shares the
processors with those, and the interpreter with nobody, since that is let go meanwhile."""
HASHING = 2
"""More would share one disk."""

_PUSHES = "(pushes)"
"""No upstream is called so."""
_Whose = tuple[asyncio.AbstractEventLoop, str]
"""A loop that has ended may have left a turn that nobody gives back."""


class _Threads:
    """So many for all upstreams, of which each has one at a time."""

    def __init__(self, name: str, number: int) -> None:
        self._threads = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._turns: WeakValueDictionary[_Whose, asyncio.Lock] = WeakValueDictionary()
        self._next: WeakValueDictionary[_Whose, asyncio.Lock] = WeakValueDictionary()

    async def begun(self, source: str, call: Callable[..., T], *args: object) -> Future[T]:
        """The call as it is carried out, once it is the turn of the source's upstream, which lasts until it has ended
        even if its caller has gone."""
        loop = asyncio.get_running_loop()
        turn = self._turns.setdefault((loop, whose(source)), asyncio.Lock())
        async with self._next.setdefault((loop, source), asyncio.Lock()):
            await turn.acquire()
        try:
            working = self._threads.submit(call, *args)
        except RuntimeError as error:  # no thread can be begun
            turn.release()
            raise StoreFailed(f"what was sent cannot be read: {error}") from error
        working.add_done_callback(on_loop(turn.release))
        return working


unpacking, hashing = _Threads("unpack", UNPACKING), _Threads("hash", HASHING)


def digest_sent(source: str, read: Callable[[int, int], bytes], algorithm: str) -> Digest:
    """Of the tar in what the source sent. Blocking; raises Lied."""
    try:
        return unpacked_digest(read, algorithm)
    except NotGzip as error:
        fault = CutOff if isinstance(error, Unfinished) else Lied
        raise fault(source, f"sent what is no package: {error}") from error


async def digest_inside(read: Callable[[], bytes]) -> Digest | None:
    """Implements Unpacks, one after the other."""
    return await asyncio.wrap_future(await unpacking.begun(_PUSHES, _digest_inside, read))


def _digest_inside(read: Callable[[], bytes]) -> Digest | None:
    packed = read()
    try:
        return unpacked_digest(lambda offset, count: packed[offset : offset + count])
    except NotGzip:
        return None
