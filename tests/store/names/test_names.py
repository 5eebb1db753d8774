"""Names survive, are seen by every process at once, and nothing in their database is ever executed."""

import asyncio
import os
import pickle
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import diskcache
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Descriptor, FirstSeen, Place, Record
from apprproxy.store.directory import sharing
from apprproxy.store.directory.place import SPARE
from apprproxy.store.names import database
from apprproxy.store.names.fence import MAX_RECORD, Tampered, keys_below, open_records
from apprproxy.store.names.names import DiskNames
from apprproxy.store.names.record import write_record
from apprproxy.store.rounds import PAUSE, PIECE

ROOT = Path(__file__).parents[3]
RECORD = Record(Descriptor(Digest.of(b"a document"), 10, "application/json"), "up", checked=1000.5, since=900.25)
FIRST = FirstSeen(Digest.of(b"first"), 1.5)
NUMBERS = count()
TITLE = "alice/nginx@1.0.0/helm"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "names"
    path.mkdir()
    return path


@pytest.fixture
def names(directory: Path) -> Iterator[DiskNames]:
    one = DiskNames(directory)
    yield one
    one.close()


@pytest.fixture
def beside(names: DiskNames, directory: Path) -> Iterator[DiskNames]:
    """As another process has them."""
    one = DiskNames(directory)
    yield one
    one.close()


async def put(names: DiskNames, key: str = "tag alice/nginx 1.0.0", record: Record = RECORD) -> None:
    await names.put("up", key, record, names.generation("up"))


async def pin(names: DiskNames, **seen: FirstSeen) -> None:
    await names.set_first_seen("up", seen, names.generation("up"))


async def test_what_was_put_is_got_and_what_was_not_is_none(names: DiskNames) -> None:
    await put(names)

    assert RECORD == await names.get("up", "tag alice/nginx 1.0.0")
    assert None is await names.get("up", "tag alice/nginx 1.0.1")
    assert None is await names.get("other", "tag alice/nginx 1.0.0")


async def test_names_owners_and_first_digests_survive_a_restart(directory: Path) -> None:
    names = DiskNames(directory)
    moved = replace(FIRST, moved_to=Digest.of(b"now", "sha512"))
    await put(names)
    await names.set_owner("default", "repository alice/nginx", "up", names.generation("default"))
    await names.set_first_seen("up", {TITLE: moved}, names.generation("up"))
    names.close()
    again = DiskNames(directory)
    found = (
        await again.get("up", "tag alice/nginx 1.0.0"),
        await again.owner("default", "repository alice/nginx"),
        await again.first_seen("up", [TITLE, "alice/nginx@9.9.9/helm"]),
        list(again.all_first_seen()),
    )
    again.close()

    assert (RECORD, "up", {TITLE: moved}, [("up", TITLE, moved)]) == found


texts = st.text(st.characters(codec="utf-8"), max_size=40)
records = st.builds(
    Record,
    st.builds(Descriptor, st.binary(max_size=9).map(Digest.of), st.integers(-1, 2**50), texts),
    texts,
    st.floats(0, 1e11),
    st.floats(0, 1e11),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, records)
async def test_every_record_comes_back_as_it_went(
    names: DiskNames, beside: DiskNames, key: str, record: Record
) -> None:
    key = f"{next(NUMBERS)} {key}"  # a process that has read a name remembers it, until something is forgotten
    await put(names, key, record)

    assert record == await names.get("up", key) == await beside.get("up", key)


async def test_what_was_read_while_it_was_forgotten_is_not_remembered(
    names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(beside)
    reads = names.database.read

    async def meanwhile(whom: str, call: Callable[..., bytes | None], *args: str) -> bytes | None:
        monkeypatch.setattr(names.database, "read", reads)
        read = await reads(whom, call, *args)
        await names.written("up", "alice/nginx", ["tag alice/nginx 1.0.0"])
        await names.get("up", "tag alice/other 1.0.0")  # somebody else notices that something was forgotten
        return read

    monkeypatch.setattr(names.database, "read", meanwhile)

    assert RECORD == await names.get("up", "tag alice/nginx 1.0.0")
    assert await names.get("up", "tag alice/nginx 1.0.0") is None


@pytest.mark.parametrize("now", [replace(RECORD, checked=2000.5), None])
async def test_what_was_read_before_it_changed_is_not_remembered_after_it(
    now: Record | None, names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "tag alice/nginx 1.0.0"
    await put(beside, key)
    reads = names.database.read

    async def meanwhile(whom: str, call: Callable[..., bytes | None], *args: str) -> bytes | None:
        monkeypatch.setattr(names.database, "read", reads)
        read = await reads(whom, call, *args)
        if now is not None:
            await put(names, key, now)
        else:
            await names.drop("up", key, names.generation("up"))
        return read

    monkeypatch.setattr(names.database, "read", meanwhile)

    assert RECORD == await names.get("up", key)
    assert now == await names.get("up", key)


FORGETTING: dict[str, Callable[[DiskNames], object]] = {
    "purged": lambda names: names.discard([("up", "release alice/nginx 1.0.0/helm")]),
    "accepted": lambda names: names.accept("up", "alice/nginx", TITLE, FIRST),
    "pushed": lambda names: asyncio.run(names.written("up", "alice/nginx")),
}


@pytest.mark.parametrize("how", FORGETTING)
async def test_what_was_asked_before_something_was_forgotten_is_not_kept(
    how: str, names: DiskNames, beside: DiskNames
) -> None:
    before = names.generation("up")
    await asyncio.to_thread(FORGETTING[how], beside)
    await names.get("up", "tag alice/redis 1.0.0")  # by now it knows that something was
    written = await names.put("up", "tag alice/nginx 1.0.0", RECORD, before)

    assert not written
    assert None is await names.get("up", "tag alice/nginx 1.0.0")


@pytest.mark.parametrize("how", FORGETTING)
async def test_nor_is_it_as_soon_as_the_disk_has_that_it_is_forgotten(
    how: str, names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, writing, loop = "tag alice/nginx 1.0.0", names._writing, asyncio.get_running_loop()
    before, written = names.generation("up"), list[bool]()

    @contextmanager
    def until_it_has() -> Iterator[None]:
        with writing():
            yield
        putting = beside.put("up", key, RECORD, before)
        written.append(asyncio.run_coroutine_threadsafe(putting, loop).result(10))

    monkeypatch.setattr(names, "_writing", until_it_has)
    await asyncio.to_thread(FORGETTING[how], names)

    assert [False] == written
    assert None is await names.get("up", key)


@pytest.mark.parametrize("how", FORGETTING)
async def test_what_another_process_reads_before_the_disk_has_that_it_is_forgotten_is_not_remembered_there(
    how: str, names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit is synced, and what stood there is read for as long."""
    key, bump, loop = "release alice/nginx 1.0.0/helm", names._generation.bump, asyncio.get_running_loop()
    await put(names, key)

    def bumped(*of: str) -> None:
        bump(*of)
        asyncio.run_coroutine_threadsafe(beside.get("up", key), loop).result(10)

    with monkeypatch.context() as patched:
        patched.setattr(names._generation, "bump", bumped)
        await asyncio.to_thread(FORGETTING[how], names)

    assert names.known("up", key) == await beside.get("up", key) != RECORD


async def test_a_no_of_before_a_write_drops_nothing(names: DiskNames, beside: DiskNames) -> None:
    before = names.generation("up")
    await names.written("up", "alice/nginx")
    await put(names)
    await names.drop("up", "tag alice/nginx 1.0.0", before)

    assert RECORD == await beside.get("up", "tag alice/nginx 1.0.0")


async def test_what_was_first_seen_is_remembered_whoever_writes_elsewhere(names: DiskNames, beside: DiskNames) -> None:
    """Else what comes next would be taken for it. What is known already stands."""
    before, other = names.generation("up"), replace(FIRST, digest=Digest.of(b"another"))
    await names.set_first_seen("up", {TITLE: FIRST}, before)
    await beside.written("up", "other/package")
    await names.set_first_seen("up", {TITLE: other, "alice/nginx@2.0.0/helm": FIRST}, before)

    assert {TITLE: FIRST, "alice/nginx@2.0.0/helm": FIRST} == await names.first_seen(
        "up", [TITLE, "alice/nginx@2.0.0/helm"]
    )


async def test_what_was_pushed_before_its_title_was_seen_stands_beside_the_first_digest(
    names: DiskNames, beside: DiskNames
) -> None:
    before, pushed, same = names.generation("up"), Digest.of(b"pushed"), "alice/nginx@2.0.0/helm"
    await beside.written("up", "alice/nginx", pushed={TITLE: pushed, same: FIRST.digest})
    await names.set_first_seen("up", {TITLE: FIRST, same: FIRST}, before, {TITLE, same})

    assert {TITLE: replace(FIRST, pushed=pushed), same: FIRST} == await names.first_seen("up", [TITLE, same])
    assert not [key for key in names._records if key.startswith("pushed ")]


async def test_of_what_two_processes_take_for_new_the_first_stands(names: DiskNames, beside: DiskNames) -> None:
    as_of, other, late = names.generation("up"), replace(FIRST, digest=Digest.of(b"another")), "alice/nginx@2.0.0/helm"
    seen = {TITLE: other, late: other}
    first = await names.set_first_seen("up", {TITLE: FIRST}, as_of, {TITLE})
    second = await beside.set_first_seen("up", seen, as_of, seen.keys())

    assert (True, False) == (first, second)
    assert {TITLE: FIRST, late: other} == await names.first_seen("up", seen)
    assert await beside.set_first_seen("up", {TITLE: other}, as_of), "known, and replaced"
    assert {TITLE: other} == await names.first_seen("up", [TITLE])


async def test_first_digests_of_thousands_hold_up_no_other_upstream(names: DiskNames) -> None:
    """A package has as many as it lists, and any number of packages may be asked for at once."""
    evil = [{f"evil/{one}@1.{number}/helm": FIRST for number in range(3 * PIECE)} for one in range(8)]
    seeing = [asyncio.create_task(names.set_first_seen("evil", seen, names.generation("evil"))) for seen in evil]
    await asyncio.sleep(0)
    await put(names)
    written = sum(one.done() for one in seeing)
    await asyncio.gather(*seeing)
    asking = [asyncio.create_task(names.first_seen("evil", seen)) for seen in evil]
    await asyncio.sleep(0)
    await names.first_seen("up", [TITLE])
    read = sum(one.done() for one in asking)

    assert evil == await asyncio.gather(*asking)
    assert (0, 0) == (written, read), "and not all of them"


async def test_what_is_accepted_while_thousands_are_written_down_stands_and_the_others_are_remembered(
    names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, accepted = {f"a@{number}/helm": FIRST for number in range(2 * PIECE)}, FirstSeen(Digest.of(b"now"), 2.0)
    early, late = "a@0/helm", f"a@{2 * PIECE - 1}/helm"
    writes = names.database.write

    async def meanwhile(whom: str, call: Callable[..., bool], *args: object) -> bool:
        monkeypatch.setattr(names.database, "write", writes)
        written = await writes(whom, call, *args)
        for title in (early, late):
            await asyncio.to_thread(beside.accept, "up", "a", title, accepted)
        return written

    monkeypatch.setattr(names.database, "write", meanwhile)
    await names.set_first_seen("up", seen, names.generation("up"))

    assert seen | {early: accepted, late: accepted} == await names.first_seen("up", seen)


async def test_a_write_takes_what_it_changed_and_has_the_repositorys_other_names_and_lists_asked_anew(
    names: DiskNames,
) -> None:
    changed, other = "release alice/nginx 1.0.0/helm", "package alice/redis -"
    doubtful = ["release alice/nginx 0.9.0/helm", "package alice/nginx -", "packages - -"]
    for key in (changed, *doubtful, other):
        await put(names, key)
    await names.written("up", "alice/nginx", [changed])

    assert [None, RECORD] == [await names.get("up", key) for key in (changed, other)]
    assert [replace(RECORD, doubtful=True)] * 3 == [await names.get("up", key) for key in doubtful]


async def test_a_write_beside_thousands_of_names_holds_up_no_other_upstream(names: DiskNames) -> None:
    """Whoever has them may push as often as they like. What is doubtful already is not even read."""
    keys = hold_thousands(names)
    with names._writing():
        for key in keys:
            names._records.set(f"owner corp {key}", b"up")
    writing = asyncio.create_task(names.written("up", "alice/nginx", through=Place("corp", ("two", "up"), "appr")))
    await asyncio.sleep(0)
    for _ in range(2):
        await names.put("two", keys[0], RECORD, names.generation("two"))
    before = writing.done()
    await writing
    rows = count()
    with pytest.MonkeyPatch.context() as counted:
        counted.setattr(names._records, "get", lambda _: next(rows))
        await names.written("up", "alice/nginx", through=Place("corp", ("two", "up"), "appr"))

    assert (False, 1) == (before, next(rows)), "the home of the repository"
    assert all(names.known("up", key) == replace(RECORD, doubtful=True) for key in keys)


async def test_nor_does_a_digest_that_is_accepted_beside_them(
    names: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = hold_thousands(names)
    writing, set_one, sizes = names._writing, names._records.set, list[int]()

    @contextmanager
    def counted() -> Iterator[None]:
        with writing():
            sizes.append(0)
            yield

    def set_counted(key: str, raw: bytes) -> None:
        sizes[-1] += 1
        set_one(key, raw)

    monkeypatch.setattr(names, "_writing", counted)
    monkeypatch.setattr(names._records, "set", set_counted)
    names.accept("up", "alice/nginx", TITLE, FIRST)

    assert [PIECE] * 4 + [1] == sizes
    assert all(names.known("up", key) == replace(RECORD, doubtful=True) for key in keys)


async def test_between_the_pieces_of_a_write_other_processes_have_the_database_for_a_while(
    names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look from time to time whether it is free."""
    hold_thousands(names)
    pauses = list[float]()

    async def meanwhile(seconds: float) -> None:
        pauses.append(seconds)
        await put(beside, f"tag alice/redis {len(pauses)}")

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    await names.written("up", "alice/nginx")

    assert [False, True, True, True] == [0 < one <= PAUSE for one in pauses]


async def test_what_is_asked_between_the_pieces_of_a_write_is_kept(
    names: DiskNames, beside: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked after what was written, and may take longer than all the pieces."""
    hold_thousands(names)
    asked, view = list[int](), Place("corp", ("up", "two"), "appr")

    async def meanwhile(_: float) -> None:
        asked[:] = [beside.generation(of) for of in ("up", "corp")]

    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    await names.written("up", "alice/nginx", through=view)

    assert asked == [names.generation(of) for of in ("up", "corp")]


async def test_so_they_have_between_those_of_an_accepted_digest(
    names: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_thousands(names)
    pauses = list[float]()
    monkeypatch.setattr(time, "sleep", pauses.append)
    names.accept("up", "alice/nginx", TITLE, FIRST)

    assert [False, True, True, True] == [0 < one <= PAUSE for one in pauses]


def hold_thousands(names: DiskNames) -> list[str]:
    keys = [f"release alice/nginx 1.0.{number}/helm" for number in range(4 * PIECE)]
    with names._writing():
        for key in keys:
            names._records.set(f"name up {key}", write_record(RECORD))
    return keys


async def test_what_is_put_while_they_are_doubted_is_doubtful_once_a_digest_is_accepted(
    names: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked before that, and may have been answered with what was first seen."""
    key, writing = "release alice/nginx 1.0.0/helm", names._writing
    await put(names, key)

    @contextmanager
    def and_again() -> Iterator[None]:
        monkeypatch.setattr(names, "_writing", writing)
        with writing():
            yield
        names._records.set(f"name up {key}", write_record(RECORD))

    monkeypatch.setattr(names, "_writing", and_again)
    names.accept("up", "alice/nginx", TITLE, FIRST)

    assert replace(RECORD, doubtful=True) == names.known("up", key)


async def test_what_was_pushed_is_added_to_what_was_seen(names: DiskNames) -> None:
    await names.set_first_seen("up", {TITLE: FIRST, "alice/nginx@2.0.0/helm": FIRST}, names.generation("up"))
    now, never = Digest.of(b"pushed"), "alice/nginx@3.0.0/helm"
    await names.written("up", "alice/nginx", pushed={TITLE: now, never: now})

    assert {TITLE: replace(FIRST, pushed=now), "alice/nginx@2.0.0/helm": FIRST} == await names.first_seen(
        "up", [TITLE, "alice/nginx@2.0.0/helm", never]
    )


async def test_what_is_pushed_to_one_upstream_keeps_nothing_of_anothers_from_being_remembered(
    names: DiskNames, beside: DiskNames
) -> None:
    """Whoever may push to one does so as often as they like."""
    key, asked = "tag library/app 1.0", {one: names.generation(one) for one in ("hub", "up", "corp")}
    await beside.written("up", "alice/nginx", through=Place("appr", ("up",), "appr"))
    written = [await names.put(one, key, RECORD, asked[one]) for one in ("hub", "up")]
    await names.set_owner("corp", key, "hub", asked["corp"])
    await names.set_first_seen("hub", {TITLE: FIRST}, asked["hub"])
    await names.set_first_seen("hub", {TITLE: replace(FIRST, pushed=FIRST.digest)}, asked["hub"])

    assert [True, False] == written
    assert [RECORD, None] == [await names.get(one, key) for one in ("hub", "up")]
    assert "hub" == await names.owner("corp", key)
    assert {TITLE: replace(FIRST, pushed=FIRST.digest)} == await names.first_seen("hub", [TITLE])


@pytest.mark.parametrize(
    ("members", "theirs"),
    [
        (("up", "two"), [None, "up"]),
        (("zero", "up", "two"), [None, "up"]),
        (("two", "up"), ["two", "two"]),
        (("two", "up", "three"), ["two", "two"]),
    ],
)
async def test_what_is_pushed_through_a_view_is_no_later_members_there_any_more(
    members: tuple[str, ...], theirs: list[str | None], names: DiskNames
) -> None:
    """It is the member's that took it, unless one ahead has it; what an earlier one had stays its own."""
    release, home, channel = "release alice/nginx 1.0.0/helm", "repository appr alice/nginx", "channel alice/nginx beta"
    redis, image = "release alice/redis 1.0.0/helm", "tag alice/nginx 1.0"
    had = {release: "two", home: "two", channel: "up", redis: "two", image: "images"}
    for view in ("corp", "other"):
        for key, upstream in had.items():
            await names.set_owner(view, key, upstream, names.generation(view))
    await names.written("up", "alice/nginx", through=Place("corp", members, "appr"))

    assert [*theirs, "up", "two", "images"] == [await names.owner("corp", key) for key in had]
    assert [*had.values()] == [await names.owner("other", key) for key in had]


@pytest.mark.parametrize(("members", "whose"), [(("up",), None), (("up", "two"), "up"), (("two", "up"), None)])
async def test_a_repository_that_was_found_nowhere_is_the_first_members_by_a_push(
    members: tuple[str, ...], whose: str | None, names: DiskNames
) -> None:
    """Nobody is before that; of a place with one member nothing is written down."""
    await names.written("up", "alice/nginx", through=Place("corp", members, "appr"))

    assert whose == await names.owner("corp", "repository appr alice/nginx")


async def test_a_push_reads_nothing_of_what_others_have(names: DiskNames) -> None:
    """Whoever may push had all others' names wait, for as long as it takes to read everything that is known."""
    view, hundreds = Place("corp", ("up", "two"), "appr"), list[None]()
    many = [f"alice/redis@1.0.{at}/helm" for at in range(3000)]
    await names.set_first_seen("two", dict.fromkeys(many, FIRST), names.generation("two"))
    for at in range(100):
        await names.set_owner("corp", f"release alice/redis 1.0.{at}/helm", "two", names.generation("corp"))
        await names.put("two", f"release alice/redis 1.0.{at}/helm", RECORD, names.generation("two"))
    await put(names, "release alice/nginx 1.0.0/helm")
    names._records._con.set_progress_handler(lambda: hundreds.append(None), 100)
    names._written("up", "alice/nginx", ["release alice/nginx 1.0.0/helm"], {TITLE: FIRST.digest}, view)
    names.accept("up", "alice/nginx", TITLE, FIRST)

    assert len(hundreds) < 100  # ten thousand steps of sqlite's: three for each that others have
    assert None is await names.get("up", "release alice/nginx 1.0.0/helm")


async def test_what_another_process_changes_is_seen_at_once(names: DiskNames, beside: DiskNames) -> None:
    key = "release alice/nginx 1.0.0/helm"
    now = FirstSeen(Digest.of(b"now"), 2.0)
    await put(names, key)
    await pin(names, **{TITLE: FIRST})
    remembered = await beside.get("up", key)
    await asyncio.to_thread(names.accept, "up", "alice/nginx", TITLE, now)

    assert RECORD == remembered
    assert replace(RECORD, doubtful=True) == await beside.get("up", key), "it stays, for whoever cannot ask"
    assert {TITLE: now} == await beside.first_seen("up", [TITLE])


async def test_a_name_that_was_accepted_in_a_real_second_process_is_doubtful_here(
    names: DiskNames, directory: Path
) -> None:
    key = "release alice/nginx 1.0.0/helm"
    await put(names, key)
    program = f"""
from pathlib import Path
from apprproxy.core.digest import Digest
from apprproxy.core.model import FirstSeen
from apprproxy.store.names.names import DiskNames
names = DiskNames(Path({str(directory)!r}))
names.accept("up", "alice/nginx", {TITLE!r}, FirstSeen(Digest.of(b"now"), 2.0))
names.close()
"""
    before = names.generation("up")
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], cwd=ROOT, check=True)

    assert before != names.generation("up")
    assert replace(RECORD, doubtful=True) == await names.get("up", key)
    assert {TITLE: FirstSeen(Digest.of(b"now"), 2.0)} == await names.first_seen("up", [TITLE])


async def test_a_record_that_is_too_large_is_refused_in_a_sentence(names: DiskNames) -> None:
    large = replace(RECORD, target=replace(RECORD.target, media_type="x" * MAX_RECORD))
    with pytest.raises(StoreFailed, match=f"records are at most {MAX_RECORD} bytes"):
        await put(names, "tag a b", large)

    assert None is await names.get("up", "tag a b")


async def test_a_directory_in_place_of_the_database_is_told_in_a_sentence(directory: Path) -> None:
    (directory / "cache.db").mkdir()
    with pytest.raises(StoreFailed, match="cannot be opened"):
        DiskNames(directory)


@pytest.mark.parametrize(
    ("code", "free", "told"),
    [(sqlite3.SQLITE_FULL, SPARE, True), (sqlite3.SQLITE_IOERR, 0, True), (sqlite3.SQLITE_IOERR, SPARE, False)],
)
def test_where_a_full_disk_has_no_room_for_the_names_it_is_said_what_may_go(
    code: int, free: int, told: bool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(diskcache, "Cache", full)
    monkeypatch.setattr(database, "free_space", lambda _: free)
    with pytest.raises(StoreFailed, match=r"cannot be opened: .*disk I/O error") as failed:
        DiskNames(directory)

    assert told == ("any index.db.broken-*, and any file in blobs/ and quarantine/ may be deleted" in str(failed.value))


async def test_a_folder_that_is_away_is_told_until_it_is_back(names: DiskNames) -> None:
    there = names.database._path
    names.database._path = there.with_name("x" * 300)
    with pytest.raises(StoreFailed):
        await names.get("up", "tag alice/nginx 1.0.0")
    away = names.database.still_away()
    names.database._path = there
    back = names.database.still_away(), names.database.away

    assert away.startswith("the names cannot be read: ")
    assert ("", "") == back, "whoever asks for nothing finds that out as well"


# --- beside a process that holds the database


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """As a process leaves it that was stopped amid a transaction."""
    with closing(sqlite3.connect(directory / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_reading_waits_for_no_writing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 3600.0)
    names = DiskNames(directory)
    await put(names)
    names.close()
    names = DiskNames(directory)
    with held(directory):
        writes = [asyncio.create_task(put(names, f"tag {number}")) for number in range(4)]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            found = await names.get("up", "tag alice/nginx 1.0.0"), await names.first_seen("up", ["a@1"])
    await asyncio.gather(*writes)
    names.close()

    assert (RECORD, {}) == found


async def test_names_that_another_process_never_lets_go_of_are_waited_for_once(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 0.3)
    monkeypatch.setattr(sharing, "IMPATIENCE", 0.01)
    names = DiskNames(directory)
    with held(directory):
        began = time.monotonic()
        for number in range(20):
            with pytest.raises(StoreFailed, match="another process has held them"):
                await put(names, f"tag {number}")
        waited = time.monotonic() - began
    await put(names)
    kept = await names.get("up", "tag alice/nginx 1.0.0")
    names.close()

    assert waited < 3, "and not 20 times as long as the first one"
    assert RECORD == kept


# --- the fence


def test_no_record_is_ever_lost_for_want_of_room(directory: Path) -> None:
    """diskcache's defaults delete silently: 710 of 3,000 were left under a limit of 1 MiB."""
    records = open_records(directory)
    records.reset("size_limit", 64 * 1024)
    with records.transact():
        for number in range(5000):
            records.set(f"name up tag a/b {number}", bytes(400))
    records.cull()
    records.expire()
    kept = len(records)
    records.close()
    again = open_records(directory)
    after = len(list(again))
    again.close()

    assert (5000, 5000) == (kept, after)
    assert ["cache.db"] == [path.name for path in directory.iterdir() if not path.name.startswith("cache.db-")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(keys=st.sets(st.text('a/b -!"\x1f\x00é\U0010ffff', max_size=6)), prefix=st.text('a/b -"é', max_size=2))
def test_keys_below_a_prefix_are_those_that_begin_so(
    keys: set[str], prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with closing(open_records(tmp_path_factory.mktemp("names"))) as records:
        with records.transact():
            for key in keys:
                records.set(key, b"")
        below = keys_below(records, f"{prefix} ", "value = ?", b"")

    assert sorted(key for key in keys if key.startswith(f"{prefix} ")) == sorted(below)


def test_nobody_else_may_look_into_the_directory(directory: Path) -> None:
    directory.chmod(0o755)
    open_records(directory).close()

    assert 0o700 == directory.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "value",
    ["text", 1, 1.5, None, ["x"], bytearray(b"x"), bytes(MAX_RECORD + 1)],
    ids=lambda value: type(value).__name__,
)
def test_only_small_bytes_are_taken(value: object, directory: Path) -> None:
    records = open_records(directory)
    with pytest.raises(TypeError):
        records.set("key", value)
    kept = list(records)
    records.close()

    assert [] == kept


@pytest.mark.parametrize("key", [1, b"key", ("a", "b"), None])
def test_only_text_is_a_key(key: object, directory: Path) -> None:
    records = open_records(directory)
    with pytest.raises(TypeError):
        records.set(key, b"value")
    records.close()


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._where),)


KEY = "name up tag alice/nginx 1.0.0"
MODES = {"raw": 1, "binary file": 2, "text file": 3, "pickle": 4}


def plant(directory: Path, payload: bytes, mode: int, *, filename: str | None = None, key: bytes | str = KEY) -> None:
    """Change the row as somebody would who can write the file."""
    with sqlite3.connect(directory / "cache.db") as connection:
        connection.execute(
            "UPDATE Cache SET value = ?, mode = ?, filename = ?, key = ?, raw = ?",
            (payload, mode, filename, key, isinstance(key, str)),
        )
    connection.close()


@pytest.mark.parametrize("mode", [mode for name, mode in MODES.items() if name != "raw"])
async def test_a_planted_row_is_refused_and_never_executed(mode: int, directory: Path, tmp_path: Path) -> None:
    names = DiskNames(directory)
    await put(names)
    names.close()
    payload = pickle.dumps(Bomb(tmp_path / "executed"))
    (directory / "planted.val").write_bytes(payload)
    again = DiskNames(directory)
    plant(directory, payload, mode, filename=None if mode == MODES["pickle"] else "planted.val")
    with pytest.raises(Tampered):
        await again.get("up", "tag alice/nginx 1.0.0")
    again.close()

    assert not (tmp_path / "executed").exists()


async def test_the_planted_payload_would_have_been_executed_without_the_fence(tmp_path: Path) -> None:
    payload = pickle.dumps(Bomb(tmp_path / "executed"))
    pickle.loads(payload)

    assert (tmp_path / "executed").exists()


async def test_a_planted_key_is_refused_and_never_executed(directory: Path, tmp_path: Path) -> None:
    names = DiskNames(directory)
    await pin(names, **{TITLE: FIRST})
    names.close()
    again = DiskNames(directory)
    plant(directory, b"{}", MODES["raw"], key=pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(Tampered):
        list(again.all_first_seen())
    again.accept("up", "alice/nginx", TITLE, FIRST)  # which looks for names that are text, and so not at this
    again.close()

    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("raw", [b"{", b"null", b"[]", b'{"digest": "sha256:12"}', b"\xff"])
async def test_a_record_that_cannot_be_read_is_none_and_can_be_put_anew(raw: bytes, names: DiskNames) -> None:
    names._records.set("name up tag alice/nginx 1.0.0", raw)
    found = await names.get("up", "tag alice/nginx 1.0.0")
    known, every = names.known("up", "tag alice/nginx 1.0.0"), list(names.all_names())
    await put(names)

    assert (None, None, []) == (found, known, every)
    assert RECORD == await names.get("up", "tag alice/nginx 1.0.0")


async def test_a_first_seen_digest_that_cannot_be_read_is_not_taken_for_none(names: DiskNames) -> None:
    names._records.set(f"first up {TITLE}", b"{")
    with pytest.raises(Tampered, match="first-seen"):
        await names.first_seen("up", [TITLE])
