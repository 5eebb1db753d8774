"""Committed plus reserved bytes never exceed the cap: whoever writes reserves first, and what must go goes then.

- Every change is one transaction over all processes of the cache, so that they never exceed the cap together.
- A blob is counted before its file is visible and until after it is gone: a crash over-counts, and never under-counts.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Because, Evicted, Observer, Trouble
from apprproxy.core.model import Clock, Expected
from apprproxy.store.directory.generation import Generation
from apprproxy.store.directory.place import spare_given
from apprproxy.store.directory.relief import FILES, MAY_GO, STEP, Relief
from apprproxy.store.directory.salvage import drop_aside
from apprproxy.store.directory.sharing import exclusively
from apprproxy.store.index.database import Database, IndexFull, translated
from apprproxy.store.index.evict import Totals
from apprproxy.store.index.links import Links
from apprproxy.store.index.membership import Membership
from apprproxy.store.index.partials import Partials, count_part
from apprproxy.store.index.pinned import Pinned, covered
from apprproxy.store.index.room import Made, Room, current
from apprproxy.store.index.scan import count_once
from apprproxy.store.index.uses import Uses, use

_KEEP = """
INSERT INTO blobs (key, size, used, pinned, unpacked) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET size = excluded.size, used = max(used, excluded.used),
    pinned = max(pinned, excluded.pinned), unpacked = coalesce(unpacked, excluded.unpacked)
"""

_PAGE = 1000
_NO_INDEX = f"the cache's disk has no room for the index of what it holds: {MAY_GO}"


@dataclass(frozen=True, slots=True)
class Blob:
    digest: Digest
    size: int
    used: float
    pinned: bool


class Ledger:
    """For threads and commands: everything is blocking, and raises StoreFailed. ``close`` it.

    ``part`` is the name of a file in ``ingest/`` that ends in ``.part`` and whose lock the caller holds, or is about to
    take (``partials.SETTLING``).
    """

    def __init__(self, root: Path, max_size: int, now: Clock, observer: Observer) -> None:
        self.max_size = max_size
        self._root = root
        self._now = now
        self._observer = observer
        self.database = Database(root / "index.db", observer)
        self.generation = Generation(root / "names" / "generation")
        self.uses = Uses(now)
        self.membership = Membership(self.database, now)
        self.pinned = Pinned(self.database, self.generation)
        self.links = Links(self.database, max_size)
        self._partials = Partials(root / "ingest")
        self._room = Room(root, max_size, self._partials, self.uses)
        self._relief = Relief(now)
        self._relief_of_files = Relief(now)
        try:
            self._mended(self._count)
        except BaseException:
            self._shut()
            raise

    def _count(self) -> None:
        path = self._root / "index.db"
        with translated(), exclusively(path):
            try:
                self._count_all()
            except IndexFull:
                if not drop_aside(path):
                    raise
                self._observer(Trouble("index", "", "what was set aside of it", "removed, for the disk is full"))
                self._count_all()

    def _count_all(self) -> None:
        """Nothing can be evicted to make room for this: what pins keep is not known before."""
        try:
            count_once(self.database, self._root, self._now())
        except IndexFull as full:
            raise IndexFull(_NO_INDEX) from full

    def _mended(self, call: Callable[[], None]) -> None:
        """At the start, where an index that is damaged can be begun anew."""
        try:
            call()
        except StoreFailed:
            if not self.database.damage or not self.database.mend():
                raise
            self._count()
            call()

    # --- what is on its way in

    def reserve(self, part: str, total: int, due: int | None = None) -> None:
        """The file may grow to ``total`` bytes in all; less than before changes nothing. Evicts what must go; raises
        NoRoom, and evicts no blob, where that would not do, or not for the bytes that are ``due`` in the end, or where
        the disk has no room for these whatever goes."""
        self._with_room(lambda: self._reserve(part, total, due or 0))

    def _reserve(self, part: str, total: int, due: int) -> None:
        while not self._reserved(part, total, due):
            pass

    def _with_room(self, call: Callable[[], None]) -> None:
        """Where the full disk does not take what the index is told, once more when something has gone."""
        try:
            call()
        except IndexFull:
            self.relieve(0, files=False)
            call()

    def _reserved(self, part: str, total: int, due: int) -> bool:
        """One step, so that others get their turn while many small blobs make room for a large one."""
        with self.database.transaction() as db:
            row = db.execute("SELECT size FROM parts WHERE part = ?", (part,)).fetchone()
            if row is not None and row[0] >= total:
                return True
            there = row[0] if row else 0
            self._room.check_disk(db, due, part)
            self._room.check(db, due - there, self._now(), part)
            made = self._room.make(db, total - there, self._now(), part)
            if made.enough:
                count_part(db, part, total, self._now())
        self._tell(made)
        return made.enough

    def shrink(self, part: str, total: int) -> None:
        """Only so many bytes are there, and nobody is writing more."""
        with self.database.transaction() as db:
            db.execute("UPDATE parts SET size = min(size, ?) WHERE part = ?", (total, part))
            self._partials.bound(db)

    def release(self, part: str) -> None:
        """The file is gone: removed, or renamed into its place."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM parts WHERE part = ?", (part,))

    def keep(self, part: str, digest: Digest, size: int, unpacked: Digest | None) -> None:
        """Just before the file is renamed into its place: the reservation becomes a blob. ``release`` it afterwards."""
        self.reserve(part, size)
        tar = Expected(unpacked=unpacked).key if unpacked else None
        self._with_room(lambda: self._keep(part, str(digest), size, tar))

    def _keep(self, part: str, key: str, size: int, tar: str | None) -> None:
        with self.database.transaction() as db:
            now = self._now()
            db.execute("UPDATE parts SET size = 0, key = ?, at = ? WHERE part = ?", (key, now, part))
            pinned = covered(db, key, tar)
            db.execute(_KEEP, (key, size, now, pinned, tar))
            use(db, key, now)
            self._partials.forget_published(db, now)

    def sweep(self, first: Callable[[], None] = lambda: None) -> None:
        """At the start: count what is there, let go of what is not, and come below a cap that was lowered. ``first`` is
        done before anything goes, and again where the index has to be begun anew in the middle."""
        self._mended(lambda: self._swept(first))

    def _swept(self, first: Callable[[], None]) -> None:
        first()
        with self.database.transaction() as db:
            self._partials.settle(db, self._now())
            above = self._room.above(db)
        self.free(above)

    def join(self, first: Callable[[], None]) -> None:
        """``sweep``, for a command: nothing goes because its cap is lower than what is held. What it brings makes room
        for itself."""
        self._mended(lambda: self._joined(first))

    def _joined(self, first: Callable[[], None]) -> None:
        first()
        with self.database.transaction() as db:
            self._partials.settle(db, self._now())
        totals = self.totals()
        self._room.raise_cap(totals.held + totals.reserved)

    def free(self, size: int, because: Because = "cap") -> int:
        """Evict so many bytes, as far as pins allow, whatever the cap says; returns how many they were."""
        return self._in_steps(because, lambda db, gone: self._room.make_what_can_be(db, size - gone.size)).size

    def _in_steps(self, because: Because, step: Callable[[sqlite3.Connection, Made], Made]) -> Made:
        """A transaction each; ``step`` is given what is gone by then."""
        gone = Made(enough=False)
        while not gone.enough:
            with self.database.transaction() as db:
                made = step(db, gone)
            self._tell(made, because)
            gone = Made(made.enough, gone.blobs + made.blobs, gone.size + made.size)
        return gone

    def relieve(self, written: int, *, files: bool) -> None:
        """Something goes, for the disk lacks bytes or ``files``; nothing where what went last for the same was of no
        use. ``written`` are bytes of the transfer that could not go on. The log of the index goes first: on a disk of
        some dozen MiB it would take all, and never become long enough to be begun anew."""
        if not files and self._shortened():
            return
        totals, relief = self.totals(), self._relief_of_files if files else self._relief
        held = totals.blobs if files else totals.held
        if not relief.wanted(held, 0 if files else written):
            return
        try:
            with spare_given(self._root):
                freed = self._free_files() if files else self.free(STEP, "disk")
        except StoreFailed:
            relief.failed()
            raise
        relief.went(freed, held - freed)

    def _shortened(self) -> bool:
        with suppress(StoreFailed):
            if self.database.has_long_log():
                with spare_given(self._root):
                    return self.database.shorten()
        return False

    def _free_files(self) -> int:
        """Returns how many went."""

        def step(db: sqlite3.Connection, gone: Made) -> Made:
            return self._room.make_files(db, STEP - gone.size, FILES - gone.blobs)

        return self._in_steps("disk", step).blobs

    # --- what is held

    def counted(self, digest: Digest) -> int | None:
        """Its size when it was kept."""
        rows = self.database.read("SELECT size FROM blobs WHERE key = ?", str(digest))
        return int(rows[0][0]) if rows else None

    def totals(self) -> Totals:
        return current(self.database.read)

    def blobs(self) -> Iterator[Blob]:
        """All that are held, by digest; read in pages, so that it may be slow and large."""
        last = ""
        while page := self.database.read(
            "SELECT key, size, used, pinned FROM blobs WHERE key > ? ORDER BY key LIMIT ?", last, _PAGE
        ):
            for last, size, used, pinned in page:
                yield Blob(Digest.parse(last), size, used, bool(pinned))

    def recovered(self) -> bool:
        """Is it known who may see what is held? Not where an index was begun anew beside blobs."""
        return self.database.read("SELECT recovered FROM totals") == [(1,)]

    def set_recovered(self) -> None:
        with self.database.transaction() as db:
            db.execute("UPDATE totals SET recovered = 1")

    def write_uses(self) -> None:
        while not self.write_some_uses():
            pass

    def write_some_uses(self) -> bool:
        """In one transaction; says whether that was all."""
        with self.database.transaction() as db:
            return self.uses.write(db)

    def close(self) -> None:
        try:
            with suppress(StoreFailed):  # which costs a worse choice once
                self.write_uses()
        finally:
            self._shut()

    def _shut(self) -> None:
        self.database.close()
        self.generation.close()

    def _tell(self, made: Made, because: Because = "cap") -> None:
        if made.blobs:
            self._observer(Evicted(made.blobs, made.size, because))
