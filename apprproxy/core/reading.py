"""An answer's body read whole, up to a limit; and documents taken apart without holding up everybody else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from apprproxy.core.documents import values
from apprproxy.core.errors import Outage, StoreFailed
from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Held
from apprproxy.core.ports.upstream import Incoming, Reply, Request, Upstream

LARGE = 64 * KIB
"""Bytes that take about a millisecond to parse. Documents are up to 8 MiB."""
FEW_VALUES = 1000
"""That are taken apart at once: some milliseconds, in which nobody else has a turn."""

T = TypeVar("T")
P = ParamSpec("P")

Grown = Callable[[int], None]
"""Told how much of a body has come; what it raises ends it."""

READERS = ThreadPoolExecutor(2, "documents")
_UNHURRIED = ThreadPoolExecutor(2, "lists")
_AT_LENGTH = ThreadPoolExecutor(2, "blobs")


def _whatever(_: int) -> None:
    """However long it is."""


async def answer_of(upstream: Upstream, request: Request) -> Reply:
    """The whole of it; raises UpstreamFault."""
    async with upstream.open(request) as incoming:
        return await replied(upstream.name, incoming, request)


async def replied(name: str, incoming: Incoming, request: Request, grown: Grown = _whatever) -> Reply:
    """The answer to a request, with its body unless that was not asked for; raises Outage."""
    if request.headers_only and incoming.status in (200, 206):
        return Reply(incoming.status, incoming.headers)
    return await whole(name, incoming, request.limit, grown)


async def whole(name: str, incoming: Incoming, limit: int, grown: Grown = _whatever) -> Reply:
    """``name`` is whose answer it is; raises Outage, also where it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in incoming.chunks():
        body += chunk
        if len(body) > limit:
            raise Outage(name, f"sent more than the {limit} bytes that are taken", incoming.status)
        grown(len(body))
    return Reply(incoming.status, incoming.headers, bytes(body))


def is_short(document: bytes) -> bool:
    """Is it taken apart in no time? However little it is, it may have ten thousand values."""
    return len(document) < LARGE and values(document) <= FEW_VALUES


async def if_short(document: Held) -> bytes | None:
    """The whole of one that is taken apart in no time, None of any other; raises StoreFailed."""
    if document.size >= LARGE:
        return None
    body = await document.read()
    return body if is_short(body) else None


def content(document: Held) -> bytes:
    """The whole. Blocking, as what takes it apart is; raises StoreFailed."""
    return document.pread(0, document.size)


async def unhurried(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In threads of its own: for what no pull waits for."""
    return await asyncio.get_running_loop().run_in_executor(_UNHURRIED, partial(read, *args, **kwargs))


async def at_length(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Likewise, for what reads a whole blob once more: at the disk's pace, while others have files to open."""
    return await asyncio.get_running_loop().run_in_executor(_AT_LENGTH, partial(read, *args, **kwargs))


async def in_turn(turn: asyncio.Lock, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """One at a time for each ``turn``, which lasts until it has been read even if its caller has gone; in threads of
    their own, for long documents must not take those that files are read in."""
    await turn.acquire()
    return await with_turn(turn, READERS, partial(read, *args, **kwargs))


async def with_turn(turn: asyncio.Lock, threads: Executor, read: Callable[[], T]) -> T:
    """The same, by whoever has the turn and has not waited since. Raises StoreFailed where no thread can be begun."""
    try:
        reading = asyncio.get_running_loop().run_in_executor(threads, read)
    except RuntimeError as error:
        turn.release()
        raise StoreFailed(f"what was sent cannot be read: {error}") from error
    reading.add_done_callback(partial(_end, turn))
    return await asyncio.shield(reading)


def _end(turn: asyncio.Lock, reading: asyncio.Future[T]) -> None:
    turn.release()
    if not reading.cancelled():
        reading.exception()  # it may be that nobody waits to be told
