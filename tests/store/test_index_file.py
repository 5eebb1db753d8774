"""The index's file: newer is refused, broken is set aside, and without one the blobs are counted anew."""

import errno
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import SetAside
from apprproxy.store.directory import sharing
from apprproxy.store.index import schema, sound
from apprproxy.store.index.evict import Totals
from apprproxy.store.index.ledger import Ledger
from tests.fakes.clock import Clock
from tests.store.contents import UNPACKED, Told
from tests.store.ledgers import CAP, Cache, digest_of, names, opened

NAME = "hub/library/alpine:3"


def made(root: Path) -> Path:
    """A cache of two blobs; its index."""
    with opened(root) as cache:
        cache.put("a", 300)
        cache.put("package", 200, UNPACKED)
    return root / "index.db"


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = made(tmp_path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(
        StoreFailed, match=r"newer version; upgrade, name another cache\.directory, or remove index\.db"
    ):
        Ledger(tmp_path, CAP, Clock(), Told())

    assert content == path.read_bytes()


def test_an_older_format_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, "ALTER TABLE blobs ADD COLUMN note TEXT;"))
    monkeypatch.setattr(schema, "FORMAT", schema.FORMAT + 1)
    with opened(tmp_path) as cache:
        notes = cache.ledger.database.read("SELECT note FROM blobs")
        version = cache.ledger.database.read("PRAGMA user_version")

    assert [(None,), (None,)] == notes
    assert [(schema.FORMAT,)] == version


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", (*schema.STEPS, "CREATE TABLE half (a); SELECT * FROM nowhere;"))
        db = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
        with pytest.raises(sqlite3.Error):
            schema.bring_up_to_date(db, "index.db")
        db.close()
    with opened(tmp_path) as cache:
        halves = cache.ledger.database.read("SELECT 1 FROM sqlite_master WHERE name = 'half'")

    assert [] == halves
    assert [] == cache.told.events


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all, " * 1000)


def cut_off(path: Path) -> None:
    os.truncate(path, 5000)


def without_tables(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.FORMAT}")
    db.execute("CREATE TABLE something (else_)")
    db.close()


def without_totals(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("DELETE FROM totals")
    db.commit()
    db.close()


def of_somebody_else(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE blobs (mine)")
    db.close()


@pytest.mark.parametrize("broken", [garbage, cut_off, without_tables, without_totals, of_somebody_else])
def test_a_broken_file_is_set_aside_and_the_blobs_are_counted_anew(broken: object, tmp_path: Path) -> None:
    path = made(tmp_path)
    assert callable(broken)
    broken(path)
    content = path.read_bytes()
    with opened(tmp_path) as cache:
        totals = cache.ledger.totals()
        (event,) = cache.told.events
        cache.put("b", 100)

    assert Totals(2, 500, 0, 0) == totals
    assert isinstance(event, SetAside)
    assert content[100:] == (tmp_path / "index.db.broken-1").read_bytes()[100:], "sqlite marks the header of any file"


TABLES = (
    *("blobs", "blobs_by_use", "blobs_by_tar", "parts", "members", "links", "links_by_parent", "loose"),
    *("pins", "pinned", "pinned_by_name", "totals"),
)


def break_page(path: Path, table: str) -> None:
    """The first one of the table."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        ((size,),) = db.execute("PRAGMA page_size").fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def not_ended(path: Path) -> None:
    """As a process leaves it that was killed, or whose machine went down."""
    path.with_name(f"{path.name}-wal").touch()


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("table", TABLES)
def test_a_broken_page_is_found_after_an_end_that_was_none(table: str, tmp_path: Path) -> None:
    path = made(tmp_path)
    with opened(tmp_path) as cache:
        cache.ledger.pinned.pin(NAME, digest_of("a"))
    break_page(path, table)
    not_ended(path)
    with opened(tmp_path) as cache:
        totals, pins = cache.ledger.totals(), cache.ledger.pinned.pins()
        (event,) = cache.told.events

    assert (2, 500, 0) == (totals.blobs, totals.held, totals.reserved)
    assert isinstance(event, SetAside)
    assert pins == ({} if table == "pins" else {NAME: digest_of("a")})
    assert f"; {len(pins)} of its pins could still be read" in event.reason, "nothing else tells that some are lost"


@pytest.mark.parametrize("table", TABLES)
def test_a_broken_page_is_gone_at_the_start_after_somebody_met_it(table: str, tmp_path: Path) -> None:
    break_page(made(tmp_path), table)
    with opened(tmp_path) as cache, suppress(StoreFailed):
        cache.ledger.sweep()
        for query in (f"SELECT * FROM {one} NOT INDEXED" for one in TABLES if "_by_" not in one):
            cache.ledger.database.read(query)
        cache.put("b", 100, digest_of("tar"))
        cache.ledger.membership.link(digest_of("b"), [names("c")])
        cache.ledger.pinned.unpin(NAME)
        cache.remove(digest_of("b"))
    with opened(tmp_path) as cache:
        totals = cache.ledger.totals()
        cache.put("d", 100)

        assert (2, 500) == (totals.blobs, totals.held)
        assert "a d" == cache.holds("a", "d")
    assert is_sound(tmp_path / "index.db")
    assert not (tmp_path / "index.suspect").exists()


def put_back(path: Path, table: str, before: bytes) -> None:
    """The first page of the table: as the disk leaves it that loses one write, and nothing that looks at pages sees."""
    with closing(sqlite3.connect(path)) as db:
        ((page, size),) = db.execute(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = ?", (table,)
        ).fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(before[(page - 1) * size : page * size])


def of_two_times(root: Path, table: str) -> None:
    before = made(root).read_bytes()
    with opened(root) as cache:
        cache.put("later", 100)
        cache.remove(digest_of("a"))
        cache.ledger.pinned.pin(NAME, digest_of("package"))
        cache.ledger.pinned.unpin(NAME)
    put_back(root / "index.db", table, before)


OF_TWO_TIMES = ("blobs", "blobs_by_use", "totals")


@pytest.mark.parametrize("table", OF_TWO_TIMES)
def test_a_page_of_before_the_others_is_found_after_an_end_that_was_none(table: str, tmp_path: Path) -> None:
    of_two_times(tmp_path, table)
    not_ended(tmp_path / "index.db")
    with opened(tmp_path) as cache:
        totals, held = cache.ledger.totals(), cache.holds("a", "package", "later")

    assert ["index"] == [event.what for event in cache.told.events if isinstance(event, SetAside)]
    assert (Totals(2, 300, 0, 0), "package later") == (totals, held)


@pytest.mark.parametrize("table", OF_TWO_TIMES)
def test_a_page_of_before_the_others_is_gone_at_the_start_after_somebody_met_it(table: str, tmp_path: Path) -> None:
    of_two_times(tmp_path, table)
    with opened(tmp_path) as cache, pytest.raises(StoreFailed):
        cache.ledger.free(10_000)
    with opened(tmp_path) as again:
        again.put("b", 100)
        again.ledger.free(10_000)
        totals = again.ledger.totals()

    assert ["index"] == [event.what for event in again.told.events if isinstance(event, SetAside)]
    assert Totals(0, 0, 0, 0) == totals
    assert not list((tmp_path / "blobs" / "sha256").iterdir())
    assert is_sound(tmp_path / "index.db")


@pytest.mark.parametrize("table", ["parts", "blobs_by_use"])
def test_a_broken_page_that_the_start_itself_meets_does_not_end_it(table: str, tmp_path: Path) -> None:
    break_page(made(tmp_path), table)
    with opened(tmp_path, cap=400) as cache:
        cache.ledger.sweep()
        totals = cache.ledger.totals()
        cache.put("b", 100)

    assert 400 >= totals.held > 0
    assert ["index"] == [event.what for event in cache.told.events if isinstance(event, SetAside)]


@pytest.mark.parametrize(("gone", "anew"), [(range(0), False), (range(3, 4), True), (range(10_000), False)])
def test_bad_sectors_are_damage_and_a_disk_that_gives_nothing_ends_the_start(
    gone: range, anew: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may have all pins, once it is back."""
    path, real = made(tmp_path), os.pread
    with opened(tmp_path) as cache:
        cache.ledger.pinned.pin(NAME, digest_of("a"))
    not_ended(path)

    def read(fd: int, size: int, at: int) -> bytes:
        if at // 4096 in gone:
            raise OSError(errno.EIO, "as if")
        return real(fd, size, at)

    def told(_: Path) -> None:
        error = sqlite3.DatabaseError("as if")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sound, "refuse_damaged", told)
        patched.setattr(os, "pread", read)
        with nullcontext() if anew else pytest.raises(StoreFailed, match="as if"):
            Cache(tmp_path).close()
    with opened(tmp_path) as cache:
        pins = cache.ledger.pinned.pins()

    assert {NAME: digest_of("a")} == pins
    assert anew == (tmp_path / "index.db.broken-1").exists()


def test_what_the_disk_did_not_give_is_looked_for_by_the_next_start_and_not_by_those_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bad sector, at which each transaction fails that comes by it: a clean end leaves no log that would tell."""
    made(tmp_path)
    error, looked = sqlite3.OperationalError("disk I/O error"), list[Path]()
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    monkeypatch.setattr(sound, "refuse_damaged", looked.append)
    with opened(tmp_path) as cache, pytest.raises(StoreFailed), cache.ledger.database.transaction():
        raise error
    for _ in range(2):
        with opened(tmp_path) as cache:
            held = cache.holds("a")

    assert [tmp_path / "index.db"] == looked
    assert ("a", [], "") == (held, cache.told.events, cache.ledger.database.damage)


def test_an_end_that_was_one_costs_no_look_at_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(_: Path) -> None:
        raise AssertionError

    path = made(tmp_path)
    monkeypatch.setattr(sound, "refuse_damaged", looked)
    for _ in range(2):
        with opened(tmp_path), opened(tmp_path):
            pass
    not_ended(path)
    with pytest.raises(AssertionError):
        Cache(tmp_path)


def test_an_index_that_somebody_else_uses_is_not_replaced(tmp_path: Path) -> None:
    with opened(tmp_path) as running:
        running.put("a", 300)
        running.ledger.database._users.mark()
        with opened(tmp_path) as beside:
            damage, seen = beside.ledger.database.damage, beside.holds("a")
        replaced = list(tmp_path.glob("*.broken-*"))
    with opened(tmp_path) as after:
        healed, still = after.ledger.database.damage, after.holds("a")

    assert "another process of this cache met a broken page" in damage
    assert ("a", []) == (seen, replaced)
    assert ("a", "") == (still, healed)


def test_an_index_that_was_cut_short_while_it_is_open_ends_nobody(tmp_path: Path) -> None:
    """A mapped page would be a signal."""
    with opened(tmp_path) as cache:
        cache.put("a", 300)
        cache.ledger.database.read("PRAGMA wal_checkpoint(TRUNCATE)")
        os.truncate(tmp_path / "index.db", 4096)
        with pytest.raises(StoreFailed, match=r"the cache's index is damaged .* starting all gateways .* anew mends"):
            cache.ledger.database.read("SELECT * FROM pins")

        assert "the cache's index is damaged" in cache.ledger.database.damage


def test_pins_outlive_an_index_that_is_broken(tmp_path: Path) -> None:
    path = made(tmp_path)
    with opened(tmp_path) as cache:
        cache.ledger.pinned.pin(NAME, digest_of("a"))
    without_totals(path)
    with opened(tmp_path) as cache:
        pins, totals = cache.ledger.pinned.pins(), cache.ledger.totals()

    assert {NAME: digest_of("a")} == pins
    assert Totals(2, 500, 300, 0) == totals


@pytest.mark.parametrize("where", ["_made", "replace"])
def test_pins_outlive_a_start_that_is_broken_off(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path = made(tmp_path)
    with opened(tmp_path) as cache:
        cache.ledger.pinned.pin(NAME, digest_of("a"))
    without_totals(path)
    with monkeypatch.context() as patched:
        patched.setattr(sound, where, killed)
        with pytest.raises(KeyboardInterrupt):
            Cache(tmp_path)
    with opened(tmp_path) as cache:
        pins = cache.ledger.pinned.pins()

    assert {NAME: digest_of("a")} == pins


def test_broken_twice_is_set_aside_twice(tmp_path: Path) -> None:
    made(tmp_path)
    for _ in range(2):
        garbage(tmp_path / "index.db")
        with opened(tmp_path):
            pass
    with opened(tmp_path):
        pass

    assert ["index.db.broken-1", "index.db.broken-2"] == sorted(path.name for path in tmp_path.glob("*.broken-*"))


def test_an_index_that_was_deleted_is_made_anew_and_the_cap_holds(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.unlink()
    with opened(tmp_path) as cache:
        totals = cache.ledger.totals()
        cache.ledger.reserve("new.part", 900)

        assert Totals(2, 500, 0, 0) == totals
        assert "" == cache.holds("a", "package")
        assert not (tmp_path / "unpacked" / "sha256" / UNPACKED.hex).is_symlink()


def test_a_count_that_was_cut_short_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path).unlink()

    def killed(path: object) -> str:
        raise OSError("as if")

    with monkeypatch.context() as patched:
        patched.setattr("apprproxy.store.index.scan._tars", killed)
        with pytest.raises(StoreFailed):
            Ledger(tmp_path, CAP, Clock(), Told())
    with opened(tmp_path) as cache:
        assert Totals(2, 500, 0, 0) == cache.ledger.totals()


def test_after_a_boot_what_the_index_lost_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may take the last commits and leave the blobs."""
    made(tmp_path)
    with opened(tmp_path) as cache:
        cache.ledger.pinned.pin(NAME, digest_of("a"))
        with cache.ledger.database.transaction() as db:
            db.execute("DELETE FROM blobs WHERE key = ?", (str(digest_of("a")),))
    with opened(tmp_path) as same:
        lost = same.ledger.totals()
    monkeypatch.setattr("apprproxy.store.index.scan._boot", lambda: "another boot")
    with opened(tmp_path) as other:
        found = other.ledger.totals()

    assert Totals(1, 200, 0, 0) == lost
    assert Totals(2, 500, 300, 0) == found


def test_a_boot_after_which_nothing_is_lost_leaves_it_known_who_may_see_what_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    with opened(tmp_path) as cache:
        cache.ledger.set_recovered()
    monkeypatch.setattr("apprproxy.store.index.scan._boot", lambda: "another boot")
    with opened(tmp_path) as other:
        assert other.ledger.recovered()


def test_an_index_that_was_copied_before_its_blobs_counts_them(tmp_path: Path) -> None:
    """As a copy of a cache in use, on one machine."""
    here, there = tmp_path / "here", tmp_path / "there"
    with opened(here) as cache:
        cache.put("a", 100)
        shutil.copytree(here, there)
        cache.put("b", 400)
        shutil.copytree(here / "blobs", there / "blobs", dirs_exist_ok=True)
    with opened(there) as copy:
        assert Totals(2, 500, 0, 0) == copy.ledger.totals()


def test_what_is_no_blob_is_not_counted(tmp_path: Path) -> None:
    made(tmp_path).unlink()
    (tmp_path / "blobs" / "sha256" / "README").write_text("mine")
    with opened(tmp_path) as cache:
        assert 2 == cache.ledger.totals().blobs


def test_a_directory_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreFailed, match="index"):
        Cache(tmp_path)


def test_what_another_process_never_lets_go_of_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 1.0)
    with opened(tmp_path) as cache:
        other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for number in range(20):
            with pytest.raises(StoreFailed, match="locked"):
                cache.ledger.reserve(f"{number}.part", 1)
        waited = time.monotonic() - began
        other.execute("ROLLBACK")
        other.close()
        cache.ledger.reserve("a.part", 1)

        assert waited < 10
        assert 1 == cache.ledger.totals().reserved
        assert [(1000,)] == cache.ledger.database._writer.execute("PRAGMA busy_timeout").fetchall()


def test_who_gave_the_log_back_waits_for_others_as_before(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        assert cache.ledger.database.shorten()
        other = sqlite3.connect(tmp_path / "index.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        ending = threading.Timer(10 * sharing.IMPATIENCE, other.close)
        ending.start()
        cache.ledger.reserve("a.part", 1)
        ending.join()

        assert 1 == cache.ledger.totals().reserved
