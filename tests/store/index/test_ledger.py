"""Committed plus reserved bytes never exceed the cap, whatever comes, fails or is killed."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import NoRoom, StoreFailed
from apprproxy.core.events import Evicted
from apprproxy.core.model import MIB
from apprproxy.store.blobs.part import open_part
from apprproxy.store.directory import relief
from apprproxy.store.directory.place import prepare
from apprproxy.store.index import ledger, links, partials, room, scan
from apprproxy.store.index.database import IndexFull
from apprproxy.store.index.evict import Totals
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.partials import ORPHANED, SETTLING
from tests.fakes.clock import Clock
from tests.store.contents import UNPACKED, Told
from tests.store.ledgers import CAP, PUBLIC, Cache, digest_of, names, opened


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with opened(tmp_path) as cache:
        yield cache


def test_what_is_reserved_counts_until_it_is_released(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 400)
    cache.ledger.reserve("a.part", 600)
    cache.ledger.reserve("a.part", 100)
    before = cache.ledger.totals()
    cache.ledger.release("a.part")

    assert Totals(0, 0, 0, 600) == before
    assert Totals(0, 0, 0, 0) == cache.ledger.totals()


def test_what_is_kept_counts_once_and_no_more_as_reserved(cache: Cache) -> None:
    cache.put("a", 300)
    cache.put("a", 300)

    assert Totals(1, 300, 0, 0) == cache.ledger.totals()


def test_more_than_the_cap_is_refused_and_costs_no_blob(cache: Cache) -> None:
    cache.put("a", 300)
    with pytest.raises(NoRoom, match=r"cache\.max_size"):
        cache.ledger.reserve("b.part", CAP + 1)

    assert "a" == cache.holds("a")
    assert Totals(1, 300, 0, 0) == cache.ledger.totals()


def test_what_will_not_fit_in_the_end_is_refused_at_the_beginning_and_costs_no_blob(cache: Cache) -> None:
    cache.put("a", 300)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("b.part", 100, due=CAP + 1)
    cache.ledger.reserve("b.part", 100, due=CAP)

    assert "a" == cache.holds("a")
    assert 100 == cache.ledger.totals().reserved


def test_what_is_due_counts_from_what_is_there(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 600)
    cache.ledger.reserve("a.part", 700, due=CAP)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("b.part", 100, due=CAP - 600)


def test_what_is_arriving_is_not_evicted(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 600)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("b.part", 500)

    assert 600 == cache.ledger.totals().reserved


def test_least_recently_used_goes_first_and_its_file_with_it(cache: Cache) -> None:
    for name in "abc":
        cache.put(name, 300)
    cache.use("a")
    cache.put("d", 300)

    assert "a c d" == cache.holds("a", "b", "c", "d")
    assert [Evicted(1, 300)] == cache.told.events


def test_a_documents_use_is_that_of_all_it_names(cache: Cache) -> None:
    index, manifest = cache.put("index", 10), cache.put("manifest", 10)
    cache.put("layer", 300)
    cache.put("other", 300)
    cache.ledger.membership.link(index, [names("manifest")])
    cache.ledger.membership.link(manifest, [names("layer")])
    cache.use("index")
    cache.put("new", 600)

    assert "index manifest layer new" == cache.holds("index", "manifest", "layer", "other", "new")


def test_a_document_that_comes_later_than_its_layer_makes_it_used(cache: Cache) -> None:
    cache.put("layer", 300)
    cache.put("other", 300)
    cache.ledger.membership.link(digest_of("manifest"), [names("layer")])
    cache.put("manifest", 10)
    cache.put("new", 600)

    assert "layer manifest new" == cache.holds("layer", "other", "manifest", "new")


def test_a_package_is_used_through_the_tar_inside(cache: Cache) -> None:
    release = cache.put("release", 10)
    cache.put("package", 300, UNPACKED)
    cache.put("other", 300)
    cache.ledger.membership.link(release, [type(names("x"))(unpacked=UNPACKED)])
    cache.use("release")
    cache.put("new", 600)

    assert "release package new" == cache.holds("release", "package", "other", "new")


def test_the_name_of_a_tar_goes_with_its_package(cache: Cache) -> None:
    cache.put("package", 300, UNPACKED)
    cache.put("new", 900)

    assert not (cache.root / "unpacked" / "sha256" / UNPACKED.hex).is_symlink()


def test_many_small_blobs_make_room_in_several_steps(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 3)
    for number in range(10):
        cache.put(str(number), 100)
    cache.ledger.reserve("large.part", 750)

    assert "8 9" == cache.holds(*map(str, range(10)))
    assert [Evicted(3, 300), Evicted(3, 300), Evicted(2, 200)] == cache.told.events
    assert Totals(2, 200, 0, 750) == cache.ledger.totals()


@pytest.mark.parametrize("files", [False, True])
def test_documents_that_name_thousands_go_in_several_steps(
    files: bool, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each link takes some time, and whoever writes waits meanwhile."""
    monkeypatch.setattr(links, "GONE", 10)
    for document, named in enumerate([4, 25, 4, 4, 4, 4, 10, 11]):
        cache.put(f"{document}", 100)
        cache.ledger.membership.link(digest_of(f"{document}"), [names(f"{document} of {n}") for n in range(named)])
    gone = cache.links_go(monkeypatch)
    if files:
        cache.ledger.relieve(0, files=True)
    else:
        cache.ledger.reserve("large.part", 1000)

    assert (66, 10) == (sum(gone), max(gone))
    assert [1, 2, 2, 1, 1, 1] == [event.blobs for event in cache.told.events if isinstance(event, Evicted)]
    assert "" == cache.holds(*map(str, range(8)))


@pytest.mark.parametrize(("files", "size"), [(2, 1 << 40), (1000, 200)])
def test_of_those_no_more_go_than_the_disk_lacks(
    files: int, size: int, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "GONE", 10)
    monkeypatch.setattr(ledger, "FILES", files)
    monkeypatch.setattr(ledger, "STEP", size)
    for document in range(5):
        cache.put(f"{document}", 100)
        cache.ledger.membership.link(digest_of(f"{document}"), [names(f"{document} of {n}") for n in range(10)])
    cache.ledger.relieve(0, files=True)

    assert "2 3 4" == cache.holds(*map(str, range(5)))


def test_a_blob_that_is_about_to_be_renamed_into_place_is_not_evicted(cache: Cache) -> None:
    """Its row would go, and then its file would come, and nobody would count it."""
    cache.ledger.reserve("a.part", 300)
    part = cache.root / "ingest" / "a.part"
    part.write_bytes(b"x" * 300)
    cache.ledger.keep("a.part", digest_of("a"), 300, None)
    cache.clock.advance(5)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("b.part", 800)
    part.rename(cache.file(digest_of("a")))
    cache.ledger.reserve("b.part", 800)

    assert "" == cache.holds("a")
    assert 800 == cache.ledger.totals().reserved


def test_a_process_that_stood_before_it_renamed_a_blob_into_place_leaves_it_counted(tmp_path: Path) -> None:
    """Suspended between both, for longer than that ever takes."""
    clock = Clock()
    with opened(tmp_path, clock) as paused, opened(tmp_path, clock) as other:
        path = tmp_path / "ingest" / "a.part"
        fd, _ = open_part(path)
        paused.ledger.reserve("a.part", 400)
        path.write_bytes(b"x" * 400)
        paused.ledger.keep("a.part", digest_of("a"), 400, None)
        clock.advance(SETTLING + 1)
        other.put("b", 100)
        with pytest.raises(NoRoom):
            other.put("c", 700)
        path.rename(paused.file(digest_of("a")))
        paused.ledger.release("a.part")
        os.close(fd)

        assert "a b" == other.holds("a", "b")
        assert Totals(2, 500, 0, 0) == other.ledger.totals()


def test_what_was_removed_is_neither_there_nor_counted_nor_known(cache: Cache) -> None:
    digest = cache.put("a", 300)
    cache.ledger.membership.shown(PUBLIC, str(digest), "owner")
    cache.ledger.membership.link(digest, [names("b", 5)])
    cache.remove(digest)
    cache.remove(digest)

    assert "" == cache.holds("a")
    assert Totals(0, 0, 0, 0) == cache.ledger.totals()
    assert (0, 0) == (cache.rows("members"), cache.rows("links"))


def test_every_blob_is_listed_by_digest(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apprproxy.store.index.ledger._PAGE", 2)
    for name in "abcde":
        cache.put(name, 10)
    listed = list(cache.ledger.blobs())

    assert sorted(digest_of(name) for name in "abcde") == [blob.digest for blob in listed]
    assert {10} == {blob.size for blob in listed}


# --- what killed processes left


def test_an_orphan_counts_with_what_is_on_disk(cache: Cache) -> None:
    cache.ledger.reserve("known.part", 500)
    cache.orphan("known.part", 200, age=60)
    cache.orphan("unknown.part", 100, age=60)
    cache.clock.advance(SETTLING)
    cache.ledger.sweep()

    assert 300 == cache.ledger.totals().reserved


def test_a_reservation_without_a_file_is_let_go_but_not_before_the_file_can_be_there(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 500)
    cache.ledger.sweep()
    young = cache.ledger.totals().reserved
    cache.clock.advance(SETTLING)
    cache.ledger.sweep()

    assert (500, 0) == (young, cache.ledger.totals().reserved)


YEARS = 10 * 365 * 86400.0


@pytest.fixture
def ahead(tmp_path: Path) -> Iterator[Cache]:
    """A cache that somebody else used while the clock was years ahead."""
    with opened(tmp_path, Clock()) as cache:
        cache.clock.advance(YEARS)
        yield cache


def test_what_was_reserved_while_the_clock_was_ahead_is_let_go(ahead: Cache, cache: Cache) -> None:
    ahead.ledger.reserve("gone.part", 900)
    cache.ledger.sweep()
    cache.put("a", 500)

    assert Totals(1, 500, 0, 0) == cache.ledger.totals()


def test_what_was_being_kept_while_the_clock_was_ahead_is_let_go(ahead: Cache, cache: Cache) -> None:
    path = cache.orphan("a.part", 400, age=-YEARS)
    ahead.ledger.reserve("a.part", 400)
    ahead.ledger.keep("a.part", digest_of("a"), 400, None)
    cache.ledger.sweep()
    cache.put("b", 900)

    assert not path.exists()
    assert Totals(1, 900, 0, 0) == cache.ledger.totals()


def test_what_was_used_while_the_clock_was_ahead_does_not_outlive_what_is_used_daily(
    ahead: Cache, cache: Cache
) -> None:
    ahead.put("once", 500)
    for day in ("a", "b", "a", "b"):
        cache.clock.advance(86400)
        cache.put(day, 400)

    assert "a b" == cache.holds("once", "a", "b")


def test_a_file_that_is_about_to_be_locked_keeps_its_reservation(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 500)
    cache.orphan("a.part", 0, age=0)
    cache.ledger.sweep()

    assert 500 == cache.ledger.totals().reserved


def test_old_orphans_go_before_any_blob_and_take_what_stands_beside_them(cache: Cache) -> None:
    cache.put("a", 300)
    cache.ledger.reserve("old.part", 600)
    cache.clock.advance(SETTLING)
    old = cache.orphan("old.part", 600, age=ORPHANED)
    beside = cache.orphan("old.json", 10, age=ORPHANED)
    cache.ledger.reserve("b.part", 700)

    assert "a" == cache.holds("a")
    assert (False, False) == (old.exists(), beside.exists())
    assert 700 == cache.ledger.totals().reserved


def test_a_young_orphan_waits_for_whoever_continues_it_while_blobs_can_go(cache: Cache) -> None:
    cache.put("a", 300)
    cache.ledger.reserve("young.part", 600)
    young = cache.orphan("young.part", 600, age=ORPHANED - 1)
    cache.ledger.reserve("b.part", 400)

    assert ("", True) == (cache.holds("a"), young.exists())


def test_where_nothing_else_would_do_orphans_go_whatever_their_age_those_first_that_nobody_came_back_for_longest(
    cache: Cache,
) -> None:
    cache.ledger.pinned.pin("kept", cache.put("a", 100))
    paths = {}
    for name, age in (("new", 0), ("old", 50), ("between", 20)):
        cache.ledger.reserve(f"{name}.part", 300)  # a moment ago, and killed since
        paths[name] = cache.orphan(f"{name}.part", 1, age=age)
    cache.ledger.reserve("b.part", 500)

    assert ["new"] == [name for name, path in paths.items() if path.exists()]
    assert ("a", 800) == (cache.holds("a"), cache.ledger.totals().reserved)


def test_no_orphan_goes_where_not_even_all_would_do(cache: Cache) -> None:
    cache.ledger.pinned.pin("kept", cache.put("a", 100))
    cache.ledger.reserve("orphan.part", 600)
    orphan = cache.orphan("orphan.part", 600, age=60)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("b.part", 950)

    assert (True, 600) == (orphan.exists(), cache.ledger.totals().reserved)


def test_of_too_many_orphans_those_with_the_fewest_bytes_go(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked at whenever room is made, and a few bytes are as soon sent again."""
    monkeypatch.setattr(partials, "MOST", 2)
    paths = {}
    for name, size in (("a", 9), ("b", 1), ("c", 2), ("d", 8)):
        cache.ledger.reserve(f"{name}.part", size)
        paths[name] = cache.orphan(f"{name}.part", size, age=0)
    cache.ledger.reserve("now.part", 1)
    cache.ledger.shrink("now.part", 1)

    assert ["a", "d"] == [name for name, path in paths.items() if path.exists()]
    assert 18 == cache.ledger.totals().reserved


def test_for_each_that_goes_not_all_the_others_are_looked_at(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four thousand that were a day old held the index for twenty seconds."""
    looks, glob = list[str](), Path.glob

    def counted(path: Path, what: str) -> Iterator[Path]:
        looks.append(what)
        return glob(path, what)

    monkeypatch.setattr(Path, "glob", counted)
    for name in ("a", "b", "c", "d"):
        cache.ledger.reserve(f"{name}.part", 1)
        cache.orphan(f"{name}.part", 1, age=ORPHANED)
    cache.clock.advance(ORPHANED)
    cache.ledger.sweep()

    assert 0 == cache.ledger.totals().reserved
    assert ["*.part"] == looks


def test_however_many_are_being_written_what_was_left_stays(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "MOST", 1)
    cache.ledger.reserve("left.part", 5)
    left = cache.orphan("left.part", 5, age=0)
    for name in ("a", "b", "c"):
        cache.ledger.reserve(f"{name}.part", 1)
    cache.ledger.shrink("c.part", 1)

    assert left.exists()


def test_what_is_being_written_is_no_orphan_that_goes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "MOST", 0)
    cache.ledger.reserve("a.part", 1)
    fd, _ = open_part(path := cache.orphan("a.part", 1, age=0))
    cache.ledger.reserve("now.part", 1)
    cache.ledger.shrink("now.part", 1)
    os.close(fd)

    assert path.exists()


def test_a_full_disk_is_relieved_of_orphans_too(cache: Cache) -> None:
    cache.put("a", 100)
    cache.ledger.reserve("orphan.part", 600)
    orphan = cache.orphan("orphan.part", 600, age=60)
    cache.ledger.free(100)
    stayed = orphan.exists()
    cache.ledger.free(100)

    assert (True, False, "") == (stayed, orphan.exists(), cache.holds("a"))


def test_a_file_whose_lock_is_held_stays_however_old_it_is(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 500)
    path = cache.orphan("a.part", 100, age=10 * ORPHANED)
    cache.clock.advance(10 * ORPHANED)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        cache.ledger.sweep()
        held = path.exists(), cache.ledger.totals().reserved
    cache.ledger.sweep()

    assert (True, 500) == held
    assert (False, 0) == (path.exists(), cache.ledger.totals().reserved)


def test_a_link_that_was_planted_among_the_arriving_leads_nowhere(cache: Cache, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * 100)
    os.utime(outside, (0, 0))
    (cache.root / "ingest" / "planted.part").symlink_to(outside)
    cache.ledger.sweep()

    assert outside.exists()


def test_a_cap_that_was_lowered_is_kept_from_the_start(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, clock) as before:
        for name in "abc":
            before.put(name, 300)
    with opened(tmp_path, clock, cap=400) as after:
        after.ledger.sweep()
        held = after.holds("a", "b", "c")

    assert "c" == held


def test_a_full_disk_is_relieved_below_the_cap(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AT_ONCE", 2)
    for number in range(6):
        cache.put(str(number), 100)
    cache.ledger.pinned.pin("kept", digest_of("0"))
    cache.ledger.free(250)
    some = cache.holds(*map(str, range(6)))
    cache.ledger.free(10_000)

    assert "0 4 5" == some
    assert "0" == cache.holds(*map(str, range(6)))


def test_a_disk_that_others_fill_does_not_cost_all_that_is_held(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "STEP", 100)
    for number in range(8):
        cache.put(str(number), 100)
    for _ in range(20):
        cache.ledger.relieve(0, files=False)
    once = cache.holds(*map(str, range(8)))
    cache.clock.advance(relief.AGAIN)
    for _ in range(20):
        cache.ledger.relieve(0, files=False)

    assert "1 2 3 4 5 6 7" == once
    assert "2 3 4 5 6 7" == cache.holds(*map(str, range(8)))
    assert [Evicted(1, 100, "disk"), Evicted(1, 100, "disk")] == cache.told.events


def test_the_log_of_the_index_goes_from_a_full_disk_before_any_blob(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small disk it would have for itself: there it never becomes as long as it has to be to be begun anew."""
    monkeypatch.setattr(ledger, "STEP", 100)
    log = cache.root / "index.db-wal"
    while log.stat().st_size < 2 * MIB:
        cache.put("a", 100)
    cache.ledger.relieve(0, files=False)
    held, left = cache.holds("a"), log.stat().st_size
    cache.ledger.relieve(0, files=False)

    assert ("a", 0) == (held, left)
    assert "" == cache.holds("a")


def test_nothing_goes_for_what_the_disk_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request for it would cost another step, until nothing is held."""
    with opened(tmp_path, cap=10_000) as cache:
        for number in range(5):
            cache.put(str(number), 100)
        cache.orphan("begun.part", 200, age=0)
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=50, f_frsize=1, f_blocks=100))
        cache.ledger.pinned.pin("kept", digest_of("0"))
        with pytest.raises(NoRoom, match="the cache's disk has no room for 451 bytes"):
            cache.ledger.reserve("new.part", 10, 451)
        cache.ledger.reserve("new.part", 10, 450)
        cache.ledger.reserve("begun.part", 210, 650)

        assert "0 1 2 3 4" == cache.holds(*map(str, range(5)))


def test_a_disk_that_has_no_size_of_its_own_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tmpfs without a limit says 0 of 0."""
    with opened(tmp_path, cap=10_000) as cache:
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096, f_blocks=0))
        cache.ledger.reserve("new.part", 10, 450)

        assert 10 == cache.ledger.totals().reserved


def _full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def _busy(*_: object) -> None:
    raise StoreFailed("the index is held by somebody else")


@pytest.mark.parametrize("step", ["count_part", "use"])
def test_a_disk_that_does_not_take_what_the_index_is_told_is_relieved_as_well(
    step: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart, when its log is to grow: what is kept by for that is given for as long."""
    for number in range(5):
        cache.put(str(number), 100)
    monkeypatch.setattr(ledger, "STEP", 100)
    real, evict, spares = getattr(ledger, step), room.Room.make_what_can_be, []

    def told(*args: object) -> None:
        if not cache.told.events:
            raise _full()
        real(*args)

    def evicted(*args: Any) -> room.Made:
        spares.append((cache.root / "spare").exists())
        return evict(*args)

    monkeypatch.setattr(ledger, step, told)
    monkeypatch.setattr(room.Room, "make_what_can_be", evicted)
    cache.put("new", 60)

    assert "1 2 3 4 new" == cache.holds(*map(str, range(5)), "new")
    assert [Evicted(1, 100, "disk")] == cache.told.events
    assert ([False], True) == (spares, (cache.root / "spare").exists())


def test_where_there_is_no_room_for_an_index_the_one_that_was_set_aside_for_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as before:
        before.put("a", 100)
    (tmp_path / "index.suspect").touch()
    real, asides = scan.count_once, list[list[str]]()

    def counted(*args: Any) -> None:
        asides.append(sorted(path.name for path in tmp_path.glob("*.broken-*")))
        if asides[-1]:
            raise IndexFull("no room")
        real(*args)

    monkeypatch.setattr(ledger, "count_once", counted)
    with opened(tmp_path) as cache:
        held, told = cache.holds("a"), [type(event).__name__ for event in cache.told.events]

    assert "a" == held
    assert "index.db.broken-1" in asides[0]
    assert [] == asides[1]
    assert ["SetAside", "Trouble"] == told


def test_where_there_is_no_room_for_an_index_it_is_said_what_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise IndexFull("no room")

    monkeypatch.setattr(ledger, "count_once", full)
    with pytest.raises(
        StoreFailed, match=r"no room for the index .* any file in blobs/ and quarantine/ may be deleted"
    ):
        Cache(tmp_path)


def test_a_relief_that_did_not_come_about_is_tried_again_soon(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("a", 100)
    with monkeypatch.context() as patched:
        patched.setattr(cache.ledger, "free", _busy)
        with pytest.raises(StoreFailed):
            cache.ledger.relieve(0, files=False)
        cache.ledger.relieve(0, files=False)
    cache.clock.advance(relief.SOON)
    cache.ledger.relieve(0, files=False)

    assert "" == cache.holds("a")


def test_more_goes_from_a_full_disk_where_what_went_was_of_use(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "STEP", 100)
    for number in range(5):
        cache.put(str(number), 100)
    cache.ledger.relieve(0, files=False)
    cache.put("new", 60)
    cache.ledger.relieve(0, files=False)
    cache.ledger.relieve(50, files=False)

    assert "3 4" == cache.holds(*map(str, range(5)))


def test_a_disk_without_inodes_does_not_cost_all_small_blobs(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FILES", 2)
    for number in range(6):
        cache.put(str(number), 1)
    for _ in range(5):
        cache.ledger.relieve(0, files=True)

    assert "2 3 4 5" == cache.holds(*map(str, range(6)))


def test_of_what_went_from_a_disk_without_inodes_the_files_count(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large layer that went with them would have small blobs that were kept be of no use, for an hour."""
    monkeypatch.setattr(ledger, "FILES", 2)
    cache.put("large", 200)
    for number in range(5):
        cache.put(str(number), 1)
    cache.ledger.relieve(0, files=True)
    for _ in range(5):
        cache.ledger.relieve(0, files=True)
    some = cache.holds("large", *map(str, range(5)))
    cache.put("new", 1)
    for _ in range(5):
        cache.ledger.relieve(0, files=True)

    assert "1 2 3 4" == some
    assert "3 4 new" == cache.holds("large", *map(str, range(5)), "new")


def test_threads_never_exceed_the_cap_together(cache: Cache) -> None:
    def fill(number: int) -> int:
        refused = 0
        for round_ in range(30):
            part = f"{number}-{round_}.part"
            try:
                cache.ledger.reserve(part, 100 + 10 * number)
            except NoRoom:
                refused += 1
            else:
                totals = cache.ledger.totals()
                assert totals.held + totals.reserved <= CAP
                cache.ledger.release(part)
        return refused

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fill, range(8)))

    assert Totals(0, 0, 0, 0) == cache.ledger.totals()


def test_a_shrunk_reservation_does_not_grow_by_it(cache: Cache) -> None:
    cache.ledger.reserve("a.part", 500)
    cache.ledger.shrink("a.part", 200)
    cache.ledger.shrink("a.part", 900)

    assert 200 == cache.ledger.totals().reserved


def test_sha512_blobs_are_counted_and_evicted_too(cache: Cache) -> None:
    digest = Digest.of(b"a", "sha512")
    cache.ledger.keep("a.part", digest, 300, None)
    cache.file(digest).write_bytes(b"x" * 300)
    cache.ledger.reserve("b.part", 900)

    assert not cache.file(digest).exists()


def test_what_an_eviction_costs_does_not_grow_with_what_is_held(tmp_path: Path) -> None:
    """Counted in steps of the database, which no busy machine changes; ``tests/bench/eviction.py`` takes the time of a
    million blobs."""
    steps = []
    for number in (2_000, 40_000):
        ledger = filled(tmp_path / str(number), number)
        counted = count_steps(ledger)
        ledger.reserve("new.part", 1000)
        steps.append(next(counted))
        assert number - 1000 == ledger.totals().blobs
        ledger.close()

    small, large = steps
    assert large < 1.5 * small


def filled(root: Path, number: int) -> Ledger:
    """So many blobs of a byte each, which is all that the cap allows; each has a repository and is named by another."""
    prepare(root)
    ledger = Ledger(root, number, Clock(), Told())
    keys = [str(Digest.of(b"%d" % one)) for one in range(number)]
    with ledger.database.transaction() as db:
        db.executemany("INSERT INTO blobs (key, size, used) VALUES (?, 1, ?)", zip(keys, count(1), strict=False))
        db.executemany("INSERT INTO members VALUES (?, 'hub', 'a/b', 'owner', 0)", [(key,) for key in keys])
        db.executemany(
            "INSERT INTO links VALUES (?, ?, 1)", [(key, keys[at // 10 * 10]) for at, key in enumerate(keys)]
        )
    return ledger


def count_steps(ledger: Ledger) -> Iterator[int]:
    """From now on, in hundreds of instructions of sqlite's machine."""
    steps = count()
    ledger.database._writer.set_progress_handler(lambda: next(steps) < 0, 100)
    return steps
