"""A damaged database of names is set aside and begun anew, with all that can still be read of it."""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import diskcache
import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import SetAside
from apprproxy.core.model import Descriptor, FirstSeen, Record
from apprproxy.store.directory import salvage
from apprproxy.store.names import database, sound
from apprproxy.store.names.names import DiskNames
from tests.fakes.fixtures import clock, gateways, registry
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry
from tests.store.contents import Told

__all__ = ["clock", "gateways", "registry"]

MANY = 2000
PAGE = 4096
NUMBERS = count(1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "names"
    path.mkdir()
    return path


@pytest.fixture
def told() -> Told:
    return Told()


def record(content: str, checked: float = 1.0) -> Record:
    return Record(Descriptor(Digest.of(content.encode()), 10, "application/json"), "up", checked, since=1.0)


async def filled(directory: Path, word: str, count: int, checked: float = 1.0) -> None:
    names = DiskNames(directory)
    for number in range(count):
        await names.put("up", f"tag {word} {number}", record(f"{word} {number}", checked), names.generation("up"))
    await names.set_first_seen("up", {f"{word}@1": FirstSeen(Digest.of(word.encode()), 1.0)}, names.generation("up"))
    await names.set_owner("view", f"tag {word}", "up", names.generation("view"))
    names.close()
    with closing(sqlite3.connect(directory / "cache.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damage(path: Path) -> None:
    """Two trees in one page, which nobody notices before it is looked through."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'Cache_expire_time'")


def bad_page(path: Path) -> None:
    """With some of the names in it; whoever has the file open goes on writing elsewhere."""
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"name up tag app 60") // PAGE * PAGE)
        file.write(b"\xff" * 8)


def learn(names: DiskNames, title: str, content: bytes = b"late") -> None:
    """In a loop of its own, since a start blocks that of the test."""
    seen = {title: FirstSeen(Digest.of(content), float(next(NUMBERS)))}
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, names.set_first_seen("up", seen, names.generation("up"))).result()


def left(directory: Path, told: Told) -> set[str]:
    names = DiskNames(directory, told)
    found = {key for _, key, _ in names.all_names()} | {title for _, title, _ in names.all_first_seen()}
    names.close()
    return found


def aside(told: Told) -> Iterator[str]:
    return (event.what for event in told.events if isinstance(event, SetAside))


async def test_what_is_no_database_is_set_aside(directory: Path, told: Told) -> None:
    (directory / "cache.db").write_bytes(b"this is not sqlite" * 100)

    assert set() == left(directory, told)
    assert ["names"] == list(aside(told))
    assert b"this is not" in (directory / "cache.db.broken-1").read_bytes()


async def test_names_before_and_after_a_bad_page_stay(directory: Path, told: Told) -> None:
    await filled(directory, "app", MANY)
    path = directory / "cache.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE // 2 * PAGE)
        file.write(b"\xff" * PAGE)
    found, again = left(directory, told), left(directory, told)

    (reason,) = [event.reason for event in told.events if isinstance(event, SetAside)]
    assert not {"*", "\n"} & set(reason), "sqlite heads it with a line of its own"
    assert ["names"] == list(aside(told))
    assert {"tag app 0", f"tag app {MANY - 1}", "app@1"} <= found
    assert MANY * 0.8 < len(found) < MANY
    assert found == again


async def test_a_copy_over_names_in_use_keeps_those_of_the_copy(directory: Path, told: Told, tmp_path: Path) -> None:
    """As a second filling that is carried over while the site's gateway runs."""
    await filled(directory, "app", MANY)
    carried = tmp_path / "carried"
    shutil.copytree(directory, carried)
    await filled(carried, "more", 500)
    running = DiskNames(directory)
    for number in range(10):
        await running.put("up", f"tag site {number}", record(f"site {number}"), running.generation("up"))
    with (carried / "cache.db").open("rb") as new, (directory / "cache.db").open("r+b") as old:
        shutil.copyfileobj(new, old)
    after = tmp_path / "after a power cut"
    shutil.copytree(directory, after)
    found = left(after, told)

    assert ["names"] == list(aside(told))
    assert {f"tag more {number}" for number in range(500)} <= found


async def test_of_a_name_that_is_told_twice_what_was_said_last_stays(directory: Path, told: Told) -> None:
    await filled(directory, "app", 1, checked=1.0)
    names = DiskNames(directory)
    await names.put("up", "tag app 0", record("new", checked=2.0), names.generation("up"))
    names.close()
    path = directory / "cache.db"
    damage(path)
    left(directory, told)
    names = DiskNames(directory)
    known = names.known("up", "tag app 0")
    names.close()

    assert ["names"] == list(aside(told))
    assert record("new", checked=2.0) == known


async def test_what_nobody_here_can_have_written_is_not_taken_over(directory: Path, told: Told) -> None:
    await filled(directory, "app", 1)
    path = directory / "cache.db"
    db = sqlite3.connect(path)
    row = "INSERT INTO Cache (key, raw, mode, value, store_time) VALUES (?, ?, ?, ?, 0)"
    db.execute(row, ("name up tag evil 1", 1, 4, b"cos\nsystem\n"))
    db.execute(row, ("name up tag evil 2", 1, 1, b"not JSON"))
    db.execute(row, ("first up evil@1", 1, 1, b"[]"))
    db.execute(row, ("owner view evil", 1, 1, b"\xff"))
    db.execute(row, ("other", 1, 1, b"{}"))
    db.commit()
    db.close()
    damage(path)

    assert {"tag app 0", "app@1"} == left(directory, told)


@pytest.mark.parametrize(
    "flipped", ["raw = 0", "mode = 4", "key = CAST(key AS BLOB)", "value = 'text'", "value = NULL"]
)
async def test_one_row_that_is_none_of_ours_costs_no_other(flipped: str, directory: Path, told: Told) -> None:
    """As by one flipped bit, which no look through finds: to walk all names would end there."""
    await filled(directory, "app", 3)
    with closing(sqlite3.connect(directory / "cache.db", isolation_level=None)) as db:
        db.execute(f"UPDATE Cache SET {flipped} WHERE key = 'name up tag app 1'")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found, again = left(directory, told), left(directory, told)

    assert ["names"] == list(aside(told))
    assert {"tag app 0", "tag app 2", "app@1"} == found == again


@pytest.mark.parametrize(("gone", "anew"), [(range(0), []), (range(20, 21), ["names"]), (range(10_000), [])])
async def test_a_disk_that_is_away_is_no_damage_and_a_bad_sector_is(
    gone: range, anew: list[str], directory: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sqlite tells of either by a text, among what else may be wrong. Once it is back, all names are."""
    await filled(directory, "app", 400)
    said = "*** in database main ***\nPage 20: unable to get the page. error code=8458"
    rows = SimpleNamespace(fetchall=lambda: [(said,)])
    looking = SimpleNamespace(execute=lambda _: rows, close=lambda: None)
    real = os.pread

    def read(fd: int, size: int, at: int) -> bytes:
        if at // PAGE in gone:
            raise OSError(errno.EIO, "as if")
        return real(fd, size, at)

    with monkeypatch.context() as patched:
        patched.setattr(sound, "refuse_damaged", lambda path, **_: _looked(patched, looking, path))
        patched.setattr(os, "pread", read)
        with nullcontext() if anew else pytest.raises(StoreFailed, match="unable to get the page"):
            DiskNames(directory, told).close()

    assert anew == list(aside(told))
    assert {f"tag app {number}" for number in range(400)} <= left(directory, told)


def _looked(patched: pytest.MonkeyPatch, looking: object, path: Path) -> None:
    with patched.context() as only:
        only.setattr(salvage, "_connected", lambda *_: looking)
        salvage.refuse_damaged(path)


def _full(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _killed_at_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.replace, count()

    def replace(old: Path, new: Path) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        real(old, new)

    monkeypatch.setattr(os, "replace", replace)


BROKEN_OFF: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a full disk": lambda patched: patched.setattr(diskcache.Cache, "set", _full),
    "before what is left is taken over": lambda patched: patched.setattr(sound, "_taken_over", _killed),
    "after it was": lambda patched: patched.setattr(sound, "replace", _killed),
    "before the broken one has another name": lambda patched: patched.setattr(os, "link", _killed),
    "before its log has": lambda patched: patched.setattr(Path, "rename", _killed),
    "before the new one has its name": _killed_at_the_second,
}


@pytest.mark.parametrize("where", BROKEN_OFF)
async def test_what_is_taken_over_outlives_a_start_that_is_broken_off(
    where: str, directory: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(directory, "app", 10)
    damage(directory / "cache.db")
    with monkeypatch.context() as patched:
        BROKEN_OFF[where](patched)
        with pytest.raises((KeyboardInterrupt, StoreFailed)):
            DiskNames(directory)
    found = left(directory, told)

    assert {*(f"tag app {number}" for number in range(10)), "app@1"} == found
    assert ["names"] == list(aside(told))
    assert not (directory / "anew").exists()
    assert not (directory / "cache.db.anew").exists()


@pytest.mark.parametrize("where", ["a full disk", "before what is left is taken over"])
async def test_a_start_that_was_broken_off_brings_nothing_back_into_names_that_are_sound(
    where: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a backup that was put in their place, where others were set aside long ago."""
    await filled(directory, "app", 20)
    damage(directory / "cache.db")
    names = DiskNames(directory)
    names.accept("up", "app", "app@1", FirstSeen(Digest.of(b"new"), 5.0))
    names.discard([("up", "tag app 3")])
    names.close()
    sound_now = (directory / "cache.db").read_bytes()
    damage(directory / "cache.db")
    with monkeypatch.context() as patched:
        BROKEN_OFF[where](patched)
        with pytest.raises((KeyboardInterrupt, StoreFailed)):
            DiskNames(directory)
    (directory / "cache.db").write_bytes(sound_now)
    names = DiskNames(directory)
    seen, purged = await names.first_seen("up", ["app@1"]), names.known("up", "tag app 3")
    names.close()

    assert Digest.of(b"new") == seen["app@1"].digest
    assert purged is None
    assert not (directory / "anew").exists()


async def test_whatever_stands_where_names_are_begun_anew_is_in_nobodys_way(directory: Path, told: Told) -> None:
    await filled(directory, "app", 1)
    damage(directory / "cache.db")
    (directory / "anew").write_text("a file")

    assert {"tag app 0", "app@1"} == left(directory, told)
    assert not (directory / "anew").exists()


@pytest.fixture
async def running(directory: Path) -> AsyncIterator[DiskNames]:
    """Of another process, on a database with a bad page."""
    await filled(directory, "app", 200)
    one = DiskNames(directory)
    learn(one, "early@1")
    bad_page(directory / "cache.db")
    yield one
    one.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, name: str, happens: Callable[[], None]) -> None:
    """Once that of ``sound`` is done."""
    real = getattr(sound, name)

    def done(*args: object) -> object:
        try:
            return real(*args)
        finally:
            happens()

    monkeypatch.setattr(sound, name, done)


async def test_what_another_process_learns_while_names_are_taken_over_stays(
    directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learnt() -> None:
        learn(running, "late@1")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, running.set_owner("view", "tag late", "up", running.generation("view"))).result()

    meanwhile(monkeypatch, "_begun_anew", learnt)
    found = left(directory, told)
    names = DiskNames(directory)
    owner = await names.owner("view", "tag late")
    names.close()

    assert {"app@1", "early@1", "late@1"} <= found
    assert "up" == owner
    assert ["names"] == list(aside(told))


@pytest.mark.parametrize("where", BROKEN_OFF)
async def test_what_another_process_learns_outlives_a_start_that_is_broken_off(
    where: str, directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as nobody starts."""
    with monkeypatch.context() as patched:
        BROKEN_OFF[where](patched)
        with pytest.raises((KeyboardInterrupt, StoreFailed)):
            DiskNames(directory)
    learn(running, "late@1")

    assert {"app@1", "early@1", "late@1"} <= left(directory, told)
    assert not (directory / "anew").exists()


async def test_what_it_had_learnt_before_a_start_was_broken_off_stays(
    directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        meanwhile(patched, "_begun_anew", lambda: learn(running, "late@1"))
        patched.setattr(sound, "_catch_up", _killed)
        with pytest.raises(KeyboardInterrupt):
            DiskNames(directory)

    assert {"app@1", "early@1", "late@1"} <= left(directory, told)


async def test_what_it_takes_for_first_seen_before_all_is_taken_over_is_not(
    directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "_begun_anew", lambda: learn(running, "late@1", b"first"))
    meanwhile(monkeypatch, "replace", lambda: learn(running, "late@1", b"second"))
    names = DiskNames(directory, told)
    seen = await names.first_seen("up", ["late@1"])
    names.close()

    assert Digest.of(b"first") == seen["late@1"].digest


async def test_what_it_is_about_to_write_into_a_file_that_is_set_aside_it_writes_into_the_new_one(
    directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        real = diskcache.Cache.set

        def late(*args: object) -> object:
            patched.undo()
            left(directory, told)
            return real(*args)

        patched.setattr(diskcache.Cache, "set", late)
        learn(running, "late@1")

    assert ["names"] == list(aside(told))
    assert {"app@1", "early@1", "late@1"} <= left(directory, told)


async def test_what_it_meets_in_a_file_that_is_set_aside_just_then_is_no_damage_of_the_new_one(
    directory: Path, running: DiskNames, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def meets(*_: object) -> object:
            patched.undo()
            left(directory, told)
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        patched.setattr(diskcache.Cache, "get", meets)
        seen = await running.first_seen("up", ["early@1"])

    assert (["names"], ["early@1"], "") == (list(aside(told)), list(seen), running.database.damage)
    assert not (directory / "cache.suspect").exists()


async def test_names_that_were_begun_anew_are_those_of_all_processes(directory: Path, told: Told) -> None:
    await filled(directory, "app", 10)
    one = DiskNames(directory)
    for number in range(8):
        await one.put("up", f"tag warm {number}", record("warm"), one.generation("up"))
        await one.get("up", f"tag cold {number}")
    damage(directory / "cache.db")
    other = DiskNames(directory, told)
    await one.set_first_seen("up", {"new@1": FirstSeen(Digest.of(b"new"), 1.0)}, one.generation("up"))
    seen = await other.first_seen("up", ["new@1"])
    back = await one.first_seen("up", ["new@1"])
    one.close()
    other.close()

    assert ["names"] == list(aside(told))
    assert ["new@1"] == list(seen) == list(back)


async def test_damage_that_comes_while_it_is_open_takes_no_gateway_out_of_service_and_is_told(
    gateways: Gateways, registry: Registry
) -> None:
    registry.push("library/app", "1.0", b"layer")
    running = await gateways.start({"hub": registry})
    before = (await running.get("/readyz")).status
    for path in (running.cache / "names").glob("cache.db*"):
        if path.suffix != ".db-shm":
            path.write_bytes(b"\xff" * path.stat().st_size)
    asked = await running.get("/v2/hub/library/app/manifests/1.0")
    after = await running.get("/readyz")

    assert (200, 200, 200) == (before, asked.status, after.status)
    assert after.body.startswith(b"ok, but the names are damaged")


async def test_a_broken_page_that_somebody_met_is_mended_by_the_next_start(
    directory: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever looking through it says, which has missed some. Others go on in what takes its place."""
    await filled(directory, "app", 200)
    one = DiskNames(directory)
    bad_page(directory / "cache.db")
    for number in range(200):
        with suppress(StoreFailed):
            await one.get("up", f"tag app {number}")
    met = one.database.damage
    monkeypatch.setattr(sound, "refuse_damaged", lambda *_, **__: None)
    found, again = left(directory, told), left(directory, told)
    await one.first_seen("up", ["app@1"])

    assert "which starting anew mends" in met
    assert ["names"] == list(aside(told))
    assert {"tag app 0", "tag app 199"} <= found
    assert found == again
    assert "" == one.database.damage
    one.close()


async def test_what_was_met_is_said_although_another_thread_is_past_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the file that took the broken one's place, just when that is told."""
    await filled(directory, "app", 1)
    one = DiskNames(directory)
    monkeypatch.setattr(database, "mark", lambda _: setattr(one.database, "damage", ""))

    def broken(*_: object) -> None:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    monkeypatch.setattr(one.database, "_where_it_is", broken)
    with pytest.raises(StoreFailed, match="the names are damaged"):
        await one.get("up", "tag app 0")
    one.close()


# --- a page that is older than the others, each of them right


def _page_of(path: Path, index: str) -> tuple[int, bytes]:
    """Where the index of so few names lies, and what is there."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,))
    at = (page - 1) * PAGE
    return at, path.read_bytes()[at : at + PAGE]


@pytest.mark.parametrize("index", ["Cache_key_raw", "Cache"])
async def test_a_page_of_before_the_others_answers_no_name_with_anothers_record(
    index: str, directory: Path, told: Told
) -> None:
    """As a disk leaves it that lost one write, or a copy that was made meanwhile: rows are numbered anew, and a key
    leads to its row by number."""
    path = directory / "cache.db"
    await filled(directory, "app", 1)
    names = DiskNames(directory)
    await names.put("up", "tag web 1", record("web"), names.generation("up"))
    names.close()
    at, before = _page_of(path, index)
    names = DiskNames(directory)
    await names.drop("up", "tag web 1", names.generation("up"))
    await names.put("up", "tag other 1", record("other"), names.generation("up"))
    names.close()
    assert before != _page_of(path, index)[1]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(before)
    names = DiskNames(directory, told)
    found = [await names.get("up", f"tag {name} 1") for name in ("web", "other")]
    names.close()

    assert ["names"] == list(aside(told))
    assert all(
        one is None or one.target.digest == Digest.of(name.encode())
        for name, one in zip(("web", "other"), found, strict=True)
    )
    assert any(found)
