"""The port Index: what the ledger knows, asked from the event loop, and answered from memory where it can be."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Interrupted, StoreFailed
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import Expected, Where
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.membership import Open, upstream_of
from apprproxy.store.rounds import Rounds, Steps

REMEMBERED = 50_000
"""Permissions in memory, of about half a kilobyte each."""

_OURS = ""
"""Whose turn it is that is no upstream's."""

T = TypeVar("T")


class DiskIndex:
    """Implements Index over a ledger, which it does not close. ``open_`` stays as it is for as long as this lives.
    ``close`` when done."""

    def __init__(self, ledger: Ledger, observer: Observer, open_: Open) -> None:
        self._ledger = ledger
        self._open = open_
        self._observer = observer
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="index-reader")
        self._writers = Rounds(1, "index-writer")  # so that no question waits for one
        self._generation = -1
        self._closed = False
        self._allowed: LRUCache[tuple[Where, str], None] = LRUCache(REMEMBERED)
        self._pins: frozenset[str] | None = None

    async def shows(self, where: Where, key: str) -> bool:
        generation = self._current()
        if (where, key) in self._allowed:
            self._allowed[where, key] = None  # used last
            return True
        allowed = await self._read(self._ledger.membership.shows, where, key, self._open)
        if allowed and generation == self._current():
            self._allowed[where, key] = None
        return allowed

    async def shown(self, where: Where, key: str, source: str = "") -> None:
        self._current()
        if source in ("", CLAIMED) and (where, key) in self._allowed:
            return
        if source != CLAIMED:  # first: a client may have the bytes, and so it is also where it cannot be written down
            self._allowed[where, key] = None
        await self._write(upstream_of(where.upstream), self._ledger.membership.shown, where, key, source)

    async def believed(self, where: Where, key: str) -> bool:
        return await self._read(self._ledger.membership.believed, where, key, self._open)

    async def link(self, parent: Digest, children: Sequence[Expected], upstream: str = "") -> None:
        await self._done(lambda: self._writers.submit(upstream, self._link(parent, tuple(children))))

    def _link(self, parent: Digest, children: Sequence[Expected]) -> Steps[None]:
        """Goes on when its caller has left: what is held is linked once, as it comes."""
        for some in self._ledger.membership.unlinked(parent, children):
            self._ledger.membership.link_some(some)
            if self._ledger.links.too_many:  # what is done beside has one share of the time, which several would outrun
                self._ledger.links.forget_some()
            elif self._ledger.links.came(len(some.links)):
                self._forget_links()
            yield

    def _forget_links(self) -> None:
        self._beside(self._ledger.links.forget_some, "what documents name")

    def linked_beside(self) -> None:
        """Somebody else has linked documents, in a thread of their own: there may be too many now."""
        self._beside(self._recount_links, "how much documents name")

    def _recount_links(self) -> bool:
        if self._ledger.links.recount():
            self._forget_links()
        return True

    async def stated_size(self, where: Where, key: str) -> int | None:
        return await self._read(self._ledger.membership.stated_size, where, key)

    def used(self, digest: Digest) -> None:
        if self._ledger.uses.add(digest):
            self._beside(self._ledger.write_some_uses, "last uses")

    def _beside(self, some: Callable[[], bool], what: str) -> None:
        """Nobody waits for it. It says whether that was all; if not, the rest comes when all others have had a turn."""
        with suppress(RuntimeError):  # closing: the ledger writes what is left
            self._writers.of(_OURS).submit(self._go_on, some, what)

    def _go_on(self, some: Callable[[], bool], what: str) -> None:
        try:
            if not some():
                self._beside(some, what)
        except Exception as error:  # the top of a task
            self._observer(Trouble("index", "", what, str(error)))

    async def moved_on(self, name: str, root: Digest) -> None:
        generation = self._current()
        pins = self._pins
        if pins is None:
            pins = frozenset(await self._read(self._ledger.pinned.pins))
            if generation == self._current():
                self._pins = pins
        if name in pins:
            await self._write(name.partition("/")[0], self._ledger.pinned.follow, name, root)

    def _current(self) -> int:
        """The shared generation; what is in memory is of it."""
        generation = self._ledger.generation.read()
        if generation != self._generation:
            self._generation = generation
            self._allowed.clear()
            self._pins = None
        return generation

    async def _read(self, call: Callable[..., T], *args: object) -> T:
        return await self._done(lambda: self._readers.submit(call, *args))

    async def _write(self, upstream: str, call: Callable[..., T], *args: object) -> T:
        return await self._done(lambda: self._writers.of(upstream).submit(call, *args))

    async def _done(self, submit: Callable[[], Future[T]]) -> T:
        try:
            working = submit()
        except RuntimeError as error:
            if self._closed:
                raise Interrupted("the index is closed") from error
            raise StoreFailed(f"the index cannot be asked: {error}") from error  # no thread can be begun
        return await asyncio.wrap_future(working)

    async def close(self) -> None:
        """Until all that was told is written."""
        self._closed = True
        for threads in (self._readers, self._writers):
            await asyncio.to_thread(threads.shutdown)
        with suppress(StoreFailed):  # as the ledger does
            await asyncio.to_thread(self._ledger.write_uses)
