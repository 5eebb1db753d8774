"""Names on disk: name -> digest, freshness and origin; who owns what in a view; and first-seen digests.

One record per name, JSON, under a text key. What is read often is also held in memory, as long as no other process
has changed anything (``generation``).
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cachetools import LRUCache

from apprproxy.core.digest import Digest
from apprproxy.core.events import Observer
from apprproxy.core.kind import Kind
from apprproxy.core.model import FirstSeen, Place, Record
from apprproxy.store.directory.generation import Generation
from apprproxy.store.names.database import Database
from apprproxy.store.names.fence import keys_below
from apprproxy.store.names.record import (
    DOUBTFUL,
    read_first,
    read_pushed,
    read_record,
    write_first,
    write_pushed,
    write_record,
)
from apprproxy.store.rounds import Pauses, in_pieces

REMEMBERED = 20_000
"""Records in memory, of about half a kilobyte each."""

_FIRST, _PUSHED = "first ", "pushed "
"""Before an upstream and a title: its first digest, and what was pushed for it where there is none yet."""


class DiskNames:
    """Implements Names and FirstSeens. How its file is says ``database``. ``close`` when done."""

    def __init__(self, directory: Path, observer: Observer = lambda _: None) -> None:
        """``observer`` is told of a database that was damaged."""
        self.database = Database(directory, observer, _age)
        self._records = self.database.records
        self._writing = self.database.writing
        self._generation = Generation(directory / "generation")
        self._seen_generation = self._generation.read()
        self._memory: LRUCache[str, bytes] = LRUCache(REMEMBERED)
        self._changes = 0

    # --- names

    async def get(self, upstream: str, key: str) -> Record | None:
        return read_record(await self._read(f"name {upstream} {key}"))

    async def put(self, upstream: str, key: str, record: Record, as_of: int) -> bool:
        return await self._write(f"name {upstream} {key}", write_record(record), upstream, as_of)

    async def drop(self, upstream: str, key: str, as_of: int) -> None:
        name = f"name {upstream} {key}"
        await self.database.write(upstream, self._drop, upstream, name, as_of)
        self._changes += 1
        self._memory.pop(name, None)

    def _drop(self, upstream: str, name: str, as_of: int) -> None:
        with self._writing():
            if as_of == self._generation.read(upstream):
                self._records.delete(name)

    async def written(
        self,
        upstream: str,
        repository: str,
        changed: Collection[str] = (),
        pushed: Mapping[str, Digest] | None = None,
        through: Place | None = None,
    ) -> None:
        """What is beside that is looked at some after the other, so that one with thousands of names holds up nobody
        else's; and what is in memory is forgotten once more when all is, by whoever has read meanwhile what was not
        yet. What is asked meanwhile is asked after the write."""
        await self.database.write(upstream, self._written, upstream, repository, changed, pushed or {}, through)
        beside = await self.database.read(upstream, self._beside, upstream, repository, through)
        pause = Pauses()
        for some in in_pieces(beside):
            await asyncio.sleep(pause.seconds)
            with pause.after():
                await self.database.write(upstream, self._written_beside, some)
        if beside:
            await self.database.write(upstream, self._generation.bump)
        self._memory.clear()

    def generation(self, of: str = "") -> int:
        return self._generation.read(of)

    async def owner(self, view: str, key: str) -> str | None:
        raw = await self._read(f"owner {view} {key}")
        return raw.decode(errors="replace") if raw is not None else None

    async def set_owner(self, view: str, key: str, upstream: str, as_of: int) -> None:
        await self._write(f"owner {view} {key}", upstream.encode(), view, as_of)

    # --- for commands, and for whoever begins anew: blocking

    def all_names(self) -> Iterator[tuple[str, str, Record]]:
        """Every ``(upstream, key, record)``, in the order they came; to be read by one thread."""
        read = ((upstream, key, read_record(raw)) for upstream, key, raw in self._all("name"))
        return ((upstream, key, record) for upstream, key, record in read if record is not None)

    def is_empty(self) -> bool:
        return next(iter(self._records), None) is None

    def known(self, upstream: str, key: str) -> Record | None:
        return read_record(self._records.get(f"name {upstream} {key}"))

    def discard(self, names: Iterable[tuple[str, str]]) -> None:
        """These ``(upstream, key)``, in every process at once. What was first seen, and who owns what, stands."""
        with self._forgetting() as whose:
            for upstream, key in names:
                self._records.delete(f"name {upstream} {key}")
                whose.add(upstream)
        self._memory.clear()

    # --- first-seen digests

    async def first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]:
        found: dict[str, FirstSeen] = {}
        for some in in_pieces(tuple(titles)):
            found |= await self.database.read(upstream, self._first_seen, upstream, some)
        return found

    def _first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]:
        found = ((title, self._records.get(f"{_FIRST}{upstream} {title}")) for title in titles)
        return {title: read_first(raw) for title, raw in found if raw is not None}

    async def set_first_seen(
        self, upstream: str, seen: Mapping[str, FirstSeen], as_of: int, new: Collection[str] = ()
    ) -> bool:
        """Some after the other: each title stands for itself, and what is forgotten meanwhile is so for those that are
        not written yet."""
        first = True
        for some in in_pieces(tuple(seen.items())):
            records = {f"{_FIRST}{upstream} {title}": write_first(first) for title, first in some}
            unseen = {f"{_FIRST}{upstream} {title}" for title, _ in some if title in new}
            first &= await self.database.write(upstream, self._set_first_seen, upstream, records, unseen, as_of)
        return first

    def _set_first_seen(self, upstream: str, records: Mapping[str, bytes], unseen: Collection[str], as_of: int) -> bool:
        """Of what was not there, what came meanwhile stands; and of all, where something was forgotten since. Not to
        remember then what came first would be to take what comes next for it."""
        with self._writing():
            current, first = as_of == self._generation.read(upstream), True
            for key, raw in records.items():
                if current and key not in unseen:
                    self._records.set(key, raw)
                elif not self._add_first(key, raw) and key in unseen:
                    first = False
        return first

    def _add_first(self, key: str, raw: bytes) -> bool:
        """With what was pushed for it before it was seen, or while its upstream was asked. Was there none?"""
        before = _PUSHED + key.removeprefix(_FIRST)
        pushed = self._records.get(before)
        if pushed is not None and (digest := read_pushed(pushed)) != (first := read_first(raw)).digest:
            raw = write_first(replace(first, pushed=digest))
        added: bool = self._records.add(key, raw)
        if added:
            self._records.delete(before)
        return added

    def all_first_seen(self) -> Iterator[tuple[str, str, FirstSeen]]:
        """Every ``(upstream, title, first seen)``, in the order they came. Blocking."""
        return ((upstream, title, read_first(raw)) for upstream, title, raw in self._all("first"))

    def accept(self, upstream: str, repository: str, title: str, first: FirstSeen, aliases: Iterable[str] = ()) -> None:
        """Take a new first-seen digest, also for those of the ``aliases`` that meant the old one, and have the names
        asked anew that may show that: they stay, for whoever cannot ask. As after a write some after the other, and at
        last what has come meanwhile. Blocking."""
        pause = Pauses()
        for some in in_pieces(self._undoubted(upstream, repository)):
            time.sleep(pause.seconds)
            with pause.after():
                self._written_beside(some)
        with self._forgetting(upstream):
            known = self._first_seen(upstream, (title, *aliases))
            meant = {one for one, old in known.items() if title in known and old.digest == known[title].digest}
            for key in self._undoubted(upstream, repository):
                self._doubt(key)
            for one in {title} | meant:
                self._records.set(f"{_FIRST}{upstream} {one}", write_first(first))
        self._memory.clear()

    def _undoubted(self, upstream: str, repository: str) -> list[str]:
        """The keys of every name of the repository, and of the lists it may stand in, that is not doubtful yet."""
        return self._below(f"name {upstream}", (repository, "-"), "NOT instr(value, ?)", DOUBTFUL)

    def _owned_behind(self, upstream: str, repository: str, place: Place | None) -> list[str]:
        """The keys under which a view remembers that a name of the repository is a member's behind this one. What is of
        those before it stays so."""
        behind = {name.encode() for name in _behind(upstream, place)} if place is not None else set()
        if place is None or not behind:
            return []
        ours = self._below(f"owner {place.name}", [repository], "value <> ?", upstream.encode())
        return [key for key in ours if self._records.get(key) in behind]

    def _take_home(self, upstream: str, repository: str, place: Place) -> None:
        """What is pushed to a member is its repository from then on, also for who cannot ask, where nobody is before it
        or it was found behind it. Who has it ahead has it still: else whoever may push behind would have names of their
        own given out beside those, where nobody can be asked."""
        key, members = f"owner {place.name} {place.home(repository)}", place.members
        known = (self._records.get(key) or b"").decode(errors="replace")
        if known in _behind(upstream, place) or members[0] == upstream:
            self._records.set(key, upstream.encode())

    def _below(self, what: str, repositories: Iterable[str], condition: str, value: bytes) -> list[str]:
        """The keys of all kinds of names of these repositories (``NameWant.key``) whose record meets the condition."""
        prefixes = [f"{what} {kind} {repository} " for kind in Kind for repository in repositories]
        return [key for prefix in prefixes for key in keys_below(self._records, prefix, condition, value)]

    def _doubt(self, key: str) -> None:
        if (record := read_record(self._records.get(key))) is not None:
            self._records.set(key, write_record(replace(record, doubtful=True)))

    def _beside(self, upstream: str, repository: str, through: Place | None) -> list[str]:
        return [*self._undoubted(upstream, repository), *self._owned_behind(upstream, repository, through)]

    def _written_beside(self, keys: Iterable[str]) -> None:
        """A name is doubtful from now on, and whose one is in a view is not known any more."""
        with self._writing():
            for key in keys:
                if key.startswith("owner "):
                    self._records.delete(key)
                else:
                    self._doubt(key)

    def _written(
        self,
        upstream: str,
        repository: str,
        changed: Collection[str],
        pushed: Mapping[str, Digest],
        through: Place | None,
    ) -> None:
        """What was pushed for a title that was not seen yet is kept for when it is: by whoever asked before the push,
        maybe, and was told what was there then."""
        with self._forgetting(upstream, *([through.name] if through is not None else [])):
            for key in changed:
                self._records.delete(f"name {upstream} {key}")
            if through is not None and len(through.members) > 1:
                self._take_home(upstream, repository, through)
            known = self._first_seen(upstream, tuple(pushed))
            for title, digest in pushed.items():
                if title in known:
                    first = replace(known[title], pushed=digest)
                    self._records.set(f"{_FIRST}{upstream} {title}", write_first(first))
                else:
                    self._records.set(f"{_PUSHED}{upstream} {title}", write_pushed(digest))

    # --- what is often read, and what is read or written at once

    @contextmanager
    def _forgetting(self, *of: str) -> Iterator[set[str]]:
        """A transaction, and another generation twice, of those whose names these are: before it ends, for whoever
        would write what was asked before, and after, for whoever has read meanwhile what stood there before."""
        whose = set(of)
        with self._writing():
            yield whose
            self._generation.bump(*whose)
        self._generation.bump(*whose)

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
            changes = self._changes
            raw = await self.database.read(_whose(key), self._records.get, key)
            if raw is not None and changes == self._changes:  # else it may be what stood there before
                self._remember({key: raw}, generation)
        return raw

    async def _write(self, key: str, raw: bytes, of: str, as_of: int) -> bool:
        generation, records = self._generation.read(), {key: raw}
        written: bool = await self.database.write(_whose(key), self._set_all, records, of, as_of)
        if written:
            self._changes += 1
            self._remember(records, generation)
        return written

    def _remember(self, records: Mapping[str, bytes], generation: int) -> None:
        """Unless something was forgotten while the disk was asked: then these may be of before it."""
        if generation == self._generation.read() == self._seen_generation:
            self._memory.update(records)

    def _set_all(self, records: Mapping[str, bytes], of: str, as_of: int) -> bool:
        """Unless something was forgotten since; both happen inside transactions, which follow one another."""
        with self._writing():
            if as_of != self._generation.read(of):
                return False
            for key, raw in records.items():
                self._records.set(key, raw)
        return True

    def close(self) -> None:
        self.database.close()
        self._generation.close()


def _whose(key: str) -> str:
    """The upstream, or the view, that the name is of."""
    return key.split(" ", 2)[1]


def _behind(upstream: str, place: Place) -> tuple[str, ...]:
    """Those that are asked after it in a view."""
    return place.members[place.members.index(upstream) + 1 :]


def _age(key: str, raw: bytes) -> float:
    """When its owner said so last; raises ValueError or Tampered for what is no record of ours."""
    match key.partition(" ")[0]:
        case "name" if (record := read_record(raw)) is not None:
            return record.checked
        case "first":
            return read_first(raw).at
        case "pushed":
            read_pushed(raw)
            return 0.0
        case "owner":
            raw.decode()
            return 0.0
        case _:
            raise ValueError(key)
