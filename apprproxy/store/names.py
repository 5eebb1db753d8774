"""Names on disk: name -> digest, freshness and origin; who owns what in a view; and first-seen digests.

One record per name, JSON, under a text key. What is read often is also held in memory, as long as no other process
has changed anything (``generation``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cachetools import LRUCache

from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import FirstSeen, Record
from apprproxy.store.fence import Tampered, open_records
from apprproxy.store.generation import Generation
from apprproxy.store.record import read_first, read_record, write_first, write_record

REMEMBERED = 20_000
"""Records in memory, of about half a kilobyte each."""

T = TypeVar("T")


class DiskNames:
    """Implements Names and FirstSeens. ``close`` when done."""

    def __init__(self, directory: Path) -> None:
        try:
            self._records = open_records(directory)
        except Exception as error:
            raise StoreFailed(f"the names in {directory} cannot be opened: {error}") from error
        self._generation = Generation(directory / "generation")
        self._seen_generation = self._generation.read()
        self._memory: LRUCache[str, bytes] = LRUCache(REMEMBERED)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="names")

    # --- names

    async def get(self, upstream: str, key: str) -> Record | None:
        raw = await self._read(f"name {upstream} {key}")
        return read_record(raw) if raw is not None else None

    async def put(self, upstream: str, key: str, record: Record, as_of: int) -> None:
        await self._write({f"name {upstream} {key}": write_record(record)}, as_of)

    async def drop(self, upstream: str, key: str, as_of: int) -> None:
        name = f"name {upstream} {key}"
        await self._run(self._drop, name, as_of)
        self._memory.pop(name, None)

    def _drop(self, name: str, as_of: int) -> None:
        with self._records.transact():
            if as_of == self._generation.read():
                self._records.delete(name)

    async def forget(self, upstream: str, repository: str, titles: Iterable[str] = ()) -> None:
        await self._run(self._forget, upstream, repository, {f"first {upstream} {title}": None for title in titles})
        self._memory.clear()

    def generation(self) -> int:
        return self._generation.read()

    async def owner(self, view: str, key: str) -> str | None:
        raw = await self._read(f"owner {view} {key}")
        return raw.decode() if raw is not None else None

    async def set_owner(self, view: str, key: str, upstream: str) -> None:
        await self._write({f"owner {view} {key}": upstream.encode()})

    # --- for commands, and for whoever begins anew: blocking

    def all_names(self) -> Iterator[tuple[str, str, Record]]:
        """Every ``(upstream, key, record)``, in the order they came; to be read by one thread."""
        return ((upstream, key, read_record(raw)) for upstream, key, raw in self._all("name"))

    def known(self, upstream: str, key: str) -> Record | None:
        raw = self._records.get(f"name {upstream} {key}")
        return read_record(raw) if raw is not None else None

    def discard(self, names: Iterable[tuple[str, str]]) -> None:
        """These ``(upstream, key)``, in every process at once. What was first seen, and who owns what, stands."""
        with self._records.transact():
            for upstream, key in names:
                self._records.delete(f"name {upstream} {key}")
            self._generation.bump()
        self._memory.clear()

    # --- first-seen digests

    async def first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]:
        return await self._run(self._first_seen, upstream, tuple(titles))

    def _first_seen(self, upstream: str, titles: tuple[str, ...]) -> dict[str, FirstSeen]:
        found = ((title, self._records.get(f"first {upstream} {title}")) for title in titles)
        return {title: read_first(raw) for title, raw in found if raw is not None}

    async def set_first_seen(self, upstream: str, seen: Mapping[str, FirstSeen], as_of: int) -> None:
        records = {f"first {upstream} {title}": write_first(first) for title, first in seen.items()}
        await self._run(self._set_all, records, as_of)

    def all_first_seen(self) -> Iterator[tuple[str, str, FirstSeen]]:
        """Every ``(upstream, title, first seen)``, in the order they came. Blocking."""
        return ((upstream, title, read_first(raw)) for upstream, title, raw in self._all("first"))

    def accept(self, upstream: str, repository: str, title: str, first: FirstSeen) -> None:
        """Take a new first-seen digest, and ask anew for the names that may show the old one. Blocking."""
        self._forget(upstream, repository, {f"first {upstream} {title}": write_first(first)})
        self._memory.clear()

    def _forget(self, upstream: str, repository: str, firsts: Mapping[str, bytes | None]) -> None:
        """Walks all names, which takes a moment; writes are rare."""
        with self._records.transact():
            for key in list(self._records):
                words = key.split(" ")
                if words[:2] == ["name", upstream] and len(words) == 5 and words[3] in (repository, "-"):
                    self._records.delete(key)
            for key, first in firsts.items():
                if first is None:
                    self._records.delete(key)
                else:
                    self._records.set(key, first)
            self._generation.bump()

    # --- one way to the disk

    def _all(self, wanted: str) -> Iterator[tuple[str, str, bytes]]:
        """Every ``(upstream, rest of the key, record)`` of a kind. What goes meanwhile is passed over."""
        for key in self._records:
            kind, _, rest = key.partition(" ")
            raw = self._records.get(key) if kind == wanted else None
            if raw is not None:
                upstream, _, name = rest.partition(" ")
                yield upstream, name, raw

    async def _read(self, key: str) -> bytes | None:
        generation = self._generation.read()
        if generation != self._seen_generation:
            self._seen_generation = generation
            self._memory.clear()
        raw = self._memory.get(key)
        if raw is None:
            raw = await self._run(self._records.get, key)
            if raw is not None:
                self._remember({key: raw}, generation)
        return raw

    async def _write(self, records: Mapping[str, bytes], as_of: int | None = None) -> None:
        generation = self._generation.read()
        if await self._run(self._set_all, records, as_of):
            self._remember(records, generation)

    def _remember(self, records: Mapping[str, bytes], generation: int) -> None:
        """Unless something was forgotten while the disk was asked: then these may be of before it."""
        if generation == self._generation.read() == self._seen_generation:
            self._memory.update(records)

    def _set_all(self, records: Mapping[str, bytes], as_of: int | None) -> bool:
        """Unless something was forgotten since; both happen inside transactions, which follow one another."""
        with self._records.transact():
            if as_of is not None and as_of != self._generation.read():
                return False
            for key, raw in records.items():
                self._records.set(key, raw)
        return True

    async def _run(self, call: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
        except Tampered:
            raise
        except Exception as error:
            raise StoreFailed(f"the names cannot be read or written: {error}") from error

    def close(self) -> None:
        self._threads.shutdown()
        self._records.close()
        self._generation.close()
