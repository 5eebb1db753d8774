"""What is held in memory is bounded, expires by the clock that is given, and is never the only truth."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import KIB, Expected
from apprproxy.store.blobs.held import FileHeld, MemoryHeld
from apprproxy.store.blobs.hot import LARGEST, HotStore
from apprproxy.store.directory.generation import Generation
from apprproxy.store.names.brief import LIMIT, MAX_VALUE, BriefMemory
from tests.store.contents import CONTENT, DIGEST, UNPACKED, packed, prepared, put


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def brief(clock: Clock) -> AsyncIterator[BriefMemory]:
    memory = BriefMemory(clock)
    yield memory
    await memory.close()


# --- short-lived answers


async def test_an_answer_lasts_until_its_time_by_the_given_clock(brief: BriefMemory, clock: Clock) -> None:
    await brief.set("no up tag", "said", 10)
    clock.time += 9.999
    before = await brief.get("no up tag")
    clock.time += 0.001

    assert "said" == before
    assert None is await brief.get("no up tag")


async def test_setting_anew_counts_from_then_and_forgetting_ends_it(brief: BriefMemory, clock: Clock) -> None:
    await brief.set("key", "old", 10)
    clock.time += 9
    await brief.set("key", "new text\nof two lines", 10)
    clock.time += 9
    found = await brief.get("key")
    await brief.forget("key")

    assert "new text\nof two lines" == found
    assert None is await brief.get("key")


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_what_lasts_no_time_is_not_kept(seconds: float, brief: BriefMemory) -> None:
    await brief.set("key", "value", seconds)

    assert None is await brief.get("key")


async def test_what_is_too_large_is_not_kept(brief: BriefMemory) -> None:
    await brief.set("fits", "x" * MAX_VALUE, 10)
    await brief.set("large", "x" * (MAX_VALUE + 1), 10)

    assert None is not await brief.get("fits")
    assert None is await brief.get("large")


async def test_any_number_of_names_leaves_a_bounded_number_of_entries_and_timers(brief: BriefMemory) -> None:
    for number in range(100_000):
        await brief.set(f"no up package alice/{number}", "no", 3600)
    entries, timers = len(brief._cache._cache), len(brief._cache._handlers)

    assert (LIMIT, LIMIT) == (entries, timers)
    assert None is await brief.get(f"no up package alice/{100_000 - LIMIT - 1}")
    assert "no" == await brief.get(f"no up package alice/{100_000 - LIMIT}")


async def test_all_answers_together_are_bounded_by_bytes_and_the_oldest_goes_first() -> None:
    memory = BriefMemory(lambda: 0.0, size=10 * KIB)
    for number in range(100):
        await memory.set(f"token {number:02}", "t" * KIB, 10)
        await memory.set(f"token {number:02}", "t" * KIB, 10)
    kept = [number for number in range(100) if await memory.get(f"token {number:02}") is not None]
    size = memory._cache._cache.size
    for number in kept:
        await memory.forget(f"token {number:02}")

    assert list(range(91, 100)) == kept
    assert 9 * KIB < size <= 10 * KIB
    assert 0 == memory._cache._cache.size
    await memory.close()


async def test_what_is_set_again_is_young_again() -> None:
    memory = BriefMemory(lambda: 0.0, limit=3)
    for key in ("a", "b", "c", "a", "d"):
        await memory.set(key, key, 10)
    found = [await memory.get(key) for key in "abcd"]
    await memory.close()

    assert ["a", None, "c", "d"] == found


async def test_closing_leaves_no_timer_that_deletes_what_comes_later(brief: BriefMemory) -> None:
    await brief.set("key", "value", 3600)
    await brief.close()

    assert {} == brief._cache._handlers


# --- the generation


def test_another_process_is_seen_at_once(tmp_path: Path) -> None:
    ours, theirs = Generation(tmp_path / "generation"), Generation(tmp_path / "generation")
    before = ours.read()
    theirs.bump()
    after = ours.read()
    ours.bump()
    seen = theirs.read()
    ours.close()
    theirs.close()
    again = Generation(tmp_path / "generation")
    kept = again.read()
    again.close()

    assert 3 == len({before, after, seen})
    assert seen == kept


def test_it_has_its_room_before_the_disk_is_full(tmp_path: Path) -> None:
    generation = Generation(tmp_path / "generation")
    blocks = (tmp_path / "generation").stat().st_blocks
    generation.close()

    assert blocks > 0


@pytest.mark.parametrize("left", [0, 7])
def test_a_file_that_was_cut_short_is_another_generation_each_time(left: int, tmp_path: Path) -> None:
    path = tmp_path / "generation"
    generation = Generation(path)
    os.truncate(path, left)
    short = [generation.read() for _ in range(3)]
    generation.bump()
    after = [generation.read() for _ in range(3)]
    generation.close()

    assert 4 == len({0, *short})
    assert 1 == len({*after})
    assert not {0, *short} & {*after}


@pytest.mark.parametrize("left", [0, 7, 8, 12])
def test_what_was_cut_off_is_there_again_for_all_upstreams_once_something_is_forgotten(
    left: int, tmp_path: Path
) -> None:
    """As a file of before is shorter, which was carried over this one: nothing more would be remembered of them."""
    path, names = tmp_path / "generation", ["", *(f"up-{number}" for number in range(200))]
    generation = Generation(path)
    before = {generation.read(one) for one in names}
    os.truncate(path, left)
    generation.bump("hub")
    after = [generation.read(one) for one in names]
    again = [generation.read(one) for one in names]
    generation.close()

    assert after == again
    assert not {0, *before} & {*after}


def test_an_older_copy_does_not_bring_back_what_was_forgotten_since(tmp_path: Path) -> None:
    path = tmp_path / "generation"
    generation = Generation(path)
    older = path.read_bytes()
    generation.bump()
    known = generation.read()
    path.write_bytes(older)
    generation.bump()
    again = generation.read()
    generation.close()

    assert known != again


def test_a_generation_that_cannot_be_read_or_raised_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    generation = Generation(tmp_path / "generation")
    before = generation.read()
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", broken)
        patched.setattr(os, "pwrite", broken)
        unknown = {generation.read(), generation.read()}
        with pytest.raises(StoreFailed, match="Input/output error"):
            generation.bump()
    known = generation.read()
    generation.close()

    assert 2 == len(unknown)
    assert before == known


def test_each_upstream_has_its_own_beside_that_of_all(tmp_path: Path) -> None:
    """As files of before had one alone, and one of the others was written half."""
    path = tmp_path / "generation"
    path.write_bytes((7).to_bytes(8, "little") + bytes(4))
    ours, theirs = Generation(path), Generation(path)
    before = [ours.read(one) for one in ("", "hub", "quay")]
    theirs.bump("hub")
    after = [ours.read(one) for one in ("", "hub", "quay")]
    ours.close()
    theirs.close()

    assert 7 == before[0]
    assert [False, False, True] == [one == another for one, another in zip(before, after, strict=True)]


# --- the hot tier


async def test_small_blobs_are_read_once_and_then_served_from_memory(tmp_path: Path) -> None:
    store = HotStore(prepared(tmp_path), 1024 * KIB, lambda: 0)
    await put(store, CONTENT, Expected(DIGEST))
    await store.find(Expected(DIGEST))
    (tmp_path / "blobs" / "sha256" / DIGEST.hex).unlink()
    found = await store.find(Expected(DIGEST))

    assert isinstance(found, MemoryHeld)
    assert CONTENT == await found.read()
    assert (DIGEST, len(CONTENT), None) == (found.digest, found.size, found.fileno())
    assert CONTENT[3:9] == found.pread(3, 6)


async def test_a_package_keeps_its_content_digest_in_memory(tmp_path: Path) -> None:
    store = HotStore(prepared(tmp_path), 1024 * KIB, lambda: 0)
    await put(store, packed(), Expected(unpacked=UNPACKED))
    for _ in range(2):
        found = await store.find(Expected(unpacked=UNPACKED))

        assert found is not None
        assert Digest.of(packed()) == found.digest


@pytest.mark.parametrize("memory", [0, 512, 1024 * KIB])
async def test_large_blobs_stay_on_disk_and_so_does_everything_without_memory(memory: int, tmp_path: Path) -> None:
    content = bytes(LARGEST + 1) if memory > LARGEST else b"small"
    digest = Digest.of(content)
    store = HotStore(prepared(tmp_path), memory, lambda: 0)
    await put(store, content, Expected(digest), pieces=LARGEST)
    for _ in range(2):
        assert isinstance(await store.find(Expected(digest)), FileHeld)


async def test_memory_is_bounded_by_bytes_and_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    contents = [bytes([number]) * 9 * KIB for number in range(20)]
    store = HotStore(prepared(tmp_path), 100 * KIB, lambda: 0)
    for content in contents:
        await put(store, content, Expected(Digest.of(content)))
        await store.find(Expected(Digest.of(content)))
        await store.find(Expected(Digest.of(contents[0])))
    for path in (tmp_path / "blobs" / "sha256").iterdir():
        path.unlink()
    kept = [await store.find(Expected(Digest.of(content))) is not None for content in contents]

    assert [True, *[False] * 10, *[True] * 9] == kept


async def test_what_another_process_purged_is_forgotten_at_once(tmp_path: Path) -> None:
    generation = [1]
    store = HotStore(prepared(tmp_path), 1024 * KIB, lambda: generation[0])
    await put(store, CONTENT, Expected(DIGEST))
    await store.find(Expected(DIGEST))
    (tmp_path / "blobs" / "sha256" / DIGEST.hex).unlink()
    before = await store.find(Expected(DIGEST))
    generation[0] += 1

    assert before is not None
    assert None is await store.find(Expected(DIGEST))


async def test_a_miss_is_not_remembered(tmp_path: Path) -> None:
    store = HotStore(prepared(tmp_path), 1024 * KIB, lambda: 0)
    missed = await store.find(Expected(DIGEST))
    await put(store, CONTENT, Expected(DIGEST))

    assert missed is None
    assert None is not await store.find(Expected(DIGEST))


async def test_finding_the_same_at_once_is_no_harm(tmp_path: Path) -> None:
    store = HotStore(prepared(tmp_path), 1024 * KIB, lambda: 0)
    await put(store, CONTENT, Expected(DIGEST))
    found = await asyncio.gather(*(store.find(Expected(DIGEST)) for _ in range(20)))

    assert [DIGEST] * 20 == [one.digest if one is not None else None for one in found]
