"""What a client may have made up is remembered, and not written down."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Descriptor, Record
from apprproxy.store.names.names import DiskNames
from apprproxy.store.names.noted import NamesWithNotes

RECORD = Record(Descriptor(Digest.of(b"[]"), 2, "application/json"), "up", checked=1000.5, since=900.25)
OTHER = replace(RECORD, target=Descriptor(Digest.of(b"[1]"), 3, "application/json"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskNames]:
    (tmp_path / "names").mkdir()
    one = DiskNames(tmp_path / "names")
    yield one
    one.close()


async def test_what_is_noted_is_known_and_not_written_down(disk: DiskNames) -> None:
    names = NamesWithNotes(disk)
    await names.note("up", "packages - a", RECORD, names.generation("up"))
    await names.set_owner("view", "packages - a", "up", names.generation("view"))

    assert RECORD == await names.get("up", "packages - a")
    assert (None, None) == (disk.known("up", "packages - a"), await names.owner("view", "packages - a"))


async def test_no_more_is_remembered_than_there_is_room_for(disk: DiskNames) -> None:
    names = NamesWithNotes(disk, remembered=2)
    for name in "abc":
        await names.note("up", name, RECORD, names.generation("up"))

    assert [None, RECORD, RECORD] == [await names.get("up", name) for name in "abc"]


async def test_what_is_written_down_already_is_renewed_there(disk: DiskNames) -> None:
    names = NamesWithNotes(disk)
    await names.put("up", "tags a -", OTHER, names.generation("up"))
    await names.note("up", "tags a -", RECORD, names.generation("up"))

    assert RECORD == disk.known("up", "tags a -") == await names.get("up", "tags a -")


async def test_what_has_entries_now_is_written_down(disk: DiskNames) -> None:
    names = NamesWithNotes(disk)
    await names.note("up", "tags a -", RECORD, names.generation("up"))
    await names.put("up", "tags a -", OTHER, names.generation("up"))

    assert OTHER == disk.known("up", "tags a -") == await names.get("up", "tags a -")


async def test_it_is_forgotten_as_what_is_written_down(disk: DiskNames) -> None:
    names = NamesWithNotes(disk)
    before = names.generation("up")
    await names.note("up", "tags a -", RECORD, before)
    await names.note("up", "tags b -", RECORD, before)
    await names.drop("up", "tags a -", before)
    dropped = await names.get("up", "tags a -")
    await names.written("up", "c")
    await names.note("up", "tags d -", RECORD, before)

    assert [None] * 3 == [dropped, await names.get("up", "tags b -"), await names.get("up", "tags d -")]


async def test_a_no_takes_what_another_process_has_written_down_meanwhile(tmp_path: Path, disk: DiskNames) -> None:
    names, other = NamesWithNotes(disk), DiskNames(tmp_path / "names")
    await names.note("up", "tags a -", RECORD, names.generation("up"))
    await other.put("up", "tags a -", OTHER, other.generation("up"))
    await names.drop("up", "tags a -", names.generation("up"))
    other.close()

    assert None is await names.get("up", "tags a -")


async def test_of_what_can_be_spelt_in_many_ways_some_is_written_down(disk: DiskNames) -> None:
    names = NamesWithNotes(disk, written=2)
    keys = [f"release a/b >={number}/helm" for number in range(4)]
    for key in (*keys, *keys, "release a/c >=0/helm"):
        await names.put_some("up", key, RECORD, names.generation("up"))
    await names.put_some("up", keys[0], OTHER, names.generation("up"))

    assert [OTHER, RECORD, None, None] == [disk.known("up", key) for key in keys]
    assert [OTHER, RECORD, RECORD, RECORD] == [await names.get("up", key) for key in keys]
    assert RECORD == disk.known("up", "release a/c >=0/helm"), "each repository has as many"


async def test_what_was_asked_before_a_write_is_neither_noted_nor_counted(disk: DiskNames) -> None:
    names, key = NamesWithNotes(disk, written=1), "release a/b default/helm"
    before = names.generation("up")
    await names.written("up", "a/c")
    late = [await names.note("up", "tags a/b -", RECORD, before), await names.put_some("up", key, RECORD, before)]
    await names.put_some("up", key, RECORD, names.generation("up"))

    assert [False, False] == late
    assert RECORD == disk.known("up", key)


async def test_a_write_makes_room_for_no_more_than_before(disk: DiskNames) -> None:
    """What was written down stays: whoever pushes, and makes up more each time, must not fill the disk."""
    names = NamesWithNotes(disk, written=2)
    keys = [f"release a/b >={number}/helm" for number in range(4)]
    for key in keys:
        await names.put_some("up", key, RECORD, names.generation("up"))
        await names.written("up", "a/b")

    assert [True, True, False, False] == [disk.known("up", key) is not None for key in keys]


async def test_what_is_there_or_could_not_be_written_is_not_counted(
    disk: DiskNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each push has the names of its repository asked anew; and a disk may be full for long."""
    names, key = NamesWithNotes(disk, written=2), "release a/b default/helm"
    for _ in range(3):
        await names.put_some("up", key, RECORD, names.generation("up"))
        await names.written("up", "a/b")
    with monkeypatch.context() as full:
        full.setattr(disk, "put", _fails)
        for _ in range(3):
            with pytest.raises(StoreFailed):
                await names.put_some("up", key, RECORD, names.generation("up"))
    await names.put_some("up", key, RECORD, names.generation("up"))

    assert RECORD == disk.known("up", key)


async def _fails(*_: object) -> None:
    raise StoreFailed("no space left")
