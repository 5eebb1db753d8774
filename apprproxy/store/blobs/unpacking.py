"""Packages unpacked, and what transfers left hashed anew, in threads of their own, one at a time for each upstream.

A small package may unpack to a hundred times as much, and what was left may be the whole cache: in the threads that
write, a few would hold up everybody's transfers, and here those of one upstream, with its mirrors, would hold up all
others'. One of each source waits for its upstream's turn, so that a mirror's many are not all before the owner's. Two
upstreams go on at once, each by a piece, and then whoever has waited longest: a package takes seconds at the most, and
what was left minutes.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from apprproxy.core.digest import Digest
from apprproxy.core.errors import CutOff, Lied, StoreFailed, TooMuch
from apprproxy.core.label import whose
from apprproxy.store.blobs.unpacked import NotGzip, NotTaken, Unfinished, unpacked_digest
from apprproxy.store.calls import on_loop

T = TypeVar("T")

AT_ONCE = 2
"""Threads that go on: more would take the processors, or the disk, from everything else."""
BEGUN = 64
"""Threads that have begun, of which the others wait: one for each upstream."""

_PUSHES = "(pushes)"
"""No upstream is called so."""
_Whose = tuple[asyncio.AbstractEventLoop, str]
"""A loop that has ended may have left a turn that nobody gives back."""


class _Pieces:
    """``AT_ONCE`` threads go on, the others in the order in which they came."""

    def __init__(self) -> None:
        self._free = AT_ONCE
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def next(self) -> None:
        """Behind whoever waits. To be called by who goes on, between two pieces."""
        if self._waiting:
            self.__exit__()
            self.__enter__()


class Threads:
    """One at a time for each upstream."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(BEGUN, thread_name_prefix=name)
        self._pieces = _Pieces()
        self._turns: WeakValueDictionary[_Whose, asyncio.Lock] = WeakValueDictionary()
        self._next: WeakValueDictionary[_Whose, asyncio.Lock] = WeakValueDictionary()

    async def begun(self, source: str, call: Callable[..., T], *args: object) -> Future[T]:
        """The call as it is carried out, once it is the turn of the source's upstream, which lasts until it has ended
        even if its caller has gone. Between two pieces it calls ``next_piece``."""
        loop = asyncio.get_running_loop()
        turn = self._turns.setdefault((loop, whose(source)), asyncio.Lock())
        async with self._next.setdefault((loop, source), asyncio.Lock()):
            await turn.acquire()
        try:
            working = self._threads.submit(self._in_pieces, call, *args)
        except RuntimeError as error:  # no thread can be begun
            turn.release()
            raise StoreFailed(f"what was sent cannot be read: {error}") from error
        working.add_done_callback(on_loop(turn.release))
        return working

    def _in_pieces(self, call: Callable[..., T], *args: object) -> T:
        with self._pieces:
            return call(*args)

    def next_piece(self) -> None:
        """Others go on first, if they wait. Blocking; by what was ``begun`` here, and nobody else."""
        self._pieces.next()


unpacking, hashing = Threads("unpack"), Threads("hash")


def digest_sent(source: str, read: Callable[[int, int], bytes], algorithm: str) -> Digest:
    """Of the tar in what the source sent. Blocking, to be begun by ``unpacking``; raises Lied."""
    try:
        return unpacked_digest(_piecewise(read), algorithm)
    except NotTaken as error:
        raise TooMuch(source, f"sent what is no package: {error}") from error
    except NotGzip as error:
        fault = CutOff if isinstance(error, Unfinished) else Lied
        raise fault(source, f"sent what is no package: {error}") from error


async def digest_inside(read: Callable[[], bytes]) -> Digest | None:
    """Implements Unpacks, one after the other."""
    return await asyncio.wrap_future(await unpacking.begun(_PUSHES, _digest_inside, read))


def _digest_inside(read: Callable[[], bytes]) -> Digest | None:
    packed = read()
    try:
        return unpacked_digest(_piecewise(lambda offset, count: packed[offset : offset + count]))
    except NotGzip:
        return None


def _piecewise(read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    def read_on(offset: int, count: int) -> bytes:
        unpacking.next_piece()
        return read(offset, count)

    return read_on
