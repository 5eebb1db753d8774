"""The port Index: what the ledger knows, asked from the event loop, and answered from memory where it can be."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Interrupted, StoreFailed
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.model import Expected, Where
from apprproxy.store.ledger import Ledger
from apprproxy.store.membership import Admits

REMEMBERED = 50_000
"""Permissions in memory, of about half a kilobyte each."""

T = TypeVar("T")


class DiskIndex:
    """Implements Index over a ledger, which it does not close. ``admits`` says which repositories the rules on names
    leave, for as long as this lives. ``close`` when done."""

    def __init__(self, ledger: Ledger, observer: Observer, admits: Admits = lambda _: True) -> None:
        self._ledger = ledger
        self._admits = admits
        self._observer = observer
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="index-reader")
        self._writers = ThreadPoolExecutor(1, thread_name_prefix="index-writer")  # so that no question waits for one
        self._generation = -1
        self._closed = False
        self._allowed: LRUCache[tuple[Where, str], None] = LRUCache(REMEMBERED)
        self._pins: frozenset[str] | None = None

    async def shows(self, where: Where, key: str) -> bool:
        generation = self._current()
        if (where, key) in self._allowed:
            self._allowed[where, key] = None  # used last
            return True
        allowed = await self._read(self._ledger.membership.shows, where, key, self._admits)
        if allowed and generation == self._current():
            self._allowed[where, key] = None
        return allowed

    async def shown(self, where: Where, key: str, source: str = "") -> None:
        generation = self._current()
        if not source and (where, key) in self._allowed:
            return
        await self._write(self._ledger.membership.shown, where, key, source)
        if generation == self._current():
            self._allowed[where, key] = None

    async def link(self, parent: Digest, children: Sequence[Expected]) -> None:
        await self._write(self._link, parent, tuple(children))

    def _link(self, parent: Digest, children: Sequence[Expected]) -> None:
        self._ledger.membership.link(parent, children)
        self._ledger.links.came(len(children))

    async def stated_size(self, where: Where, key: str) -> int | None:
        return await self._read(self._ledger.membership.stated_size, where, key)

    def used(self, digest: Digest) -> None:
        if self._ledger.uses.add(digest):
            with suppress(RuntimeError):  # closing: the ledger writes what is left
                self._writers.submit(self._write_uses)

    def _write_uses(self) -> None:
        """Some of them; the others come after what waits to be written by now."""
        try:
            if not self._ledger.write_some_uses():
                with suppress(RuntimeError):
                    self._writers.submit(self._write_uses)
        except Exception as error:  # the top of a task
            self._observer(Trouble("index", "", "last uses", str(error)))

    async def moved_on(self, name: str, root: Digest) -> None:
        generation = self._current()
        pins = self._pins
        if pins is None:
            pins = frozenset(await self._read(self._ledger.pinned.pins))
            if generation == self._current():
                self._pins = pins
        if name in pins:
            await self._write(self._ledger.pinned.follow, name, root)

    def _current(self) -> int:
        """The shared generation; what is in memory is of it."""
        generation = self._ledger.generation.read()
        if generation != self._generation:
            self._generation = generation
            self._allowed.clear()
            self._pins = None
        return generation

    async def _read(self, call: Callable[..., T], *args: object) -> T:
        return await self._run(self._readers, call, *args)

    async def _write(self, call: Callable[..., T], *args: object) -> T:
        return await self._run(self._writers, call, *args)

    async def _run(self, threads: Executor, call: Callable[..., T], *args: object) -> T:
        try:
            working = asyncio.get_running_loop().run_in_executor(threads, call, *args)
        except RuntimeError as error:
            if self._closed:
                raise Interrupted("the index is closed") from error
            raise StoreFailed(f"the index cannot be asked: {error}") from error  # no thread can be begun
        return await working

    async def close(self) -> None:
        """Until all that was told is written."""
        self._closed = True
        for threads in (self._readers, self._writers):
            await asyncio.to_thread(threads.shutdown)
        with suppress(StoreFailed):  # as the ledger does
            await asyncio.to_thread(self._ledger.write_uses)
