"""A growing file has one writer at a time, whoever comes next continues it, and a committed one is never touched."""

import asyncio
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, StoreFailed
from apprproxy.core.model import Contribution, Expected
from apprproxy.core.ports.store import Partial
from apprproxy.store.blobs import partial as partial_module
from apprproxy.store.blobs.disk import WRITERS, DiskStore
from apprproxy.store.blobs.ingest import PIECE
from apprproxy.store.blobs.part import OpenPart
from apprproxy.store.blobs.partial import part_name
from apprproxy.store.blobs.unpacking import hashing
from tests.store.cap import Boundless
from tests.store.contents import TAR, UNPACKED, arriving, packed, prepared, put, visible

ROOT = Path(__file__).parents[3]
BLOB = os.urandom(3_000_000)
WANT = Expected(Digest.of(BLOB))
NAME = part_name(WANT)

FILLER = """
import asyncio, sys
from pathlib import Path
from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from tests.store.contents import prepared

async def main():
    content = Path(sys.argv[2]).read_bytes()
    claim = await prepared(Path(sys.argv[1])).claim(Expected(Digest.of(content)))
    assert claim.partial is not None
    await claim.partial.begins("hub", "owner", len(content))
    for line in sys.stdin:
        if line == "commit\\n":
            await claim.partial.commit()
            await claim.partial.leave(keep=True)
        elif line == "drop\\n":
            await claim.partial.leave(keep=False)
        else:
            await claim.partial.write(content[claim.partial.size:int(line)])
            await claim.partial.begins("hub", "owner", len(content))
        print("done", flush=True)

asyncio.run(main())
"""


class Filler:
    """Another process that fills the partial as far as it is told."""

    def __init__(self, directory: Path) -> None:
        whole = directory.with_name("whole")
        whole.write_bytes(BLOB)
        self.process = subprocess.Popen(
            [sys.executable, "-c", FILLER, str(directory), str(whole)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def tell(self, word: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


async def claimed(store: DiskStore, want: Expected = WANT) -> Partial:
    claim = await store.claim(want)
    assert claim.partial is not None
    return claim.partial


async def filled(store: DiskStore, upto: int, want: Expected = WANT, content: bytes = BLOB) -> Partial:
    partial = await claimed(store, want)
    await partial.begins("hub", "owner", len(content))
    await partial.write(content[:upto])
    return partial


async def left(store: DiskStore, upto: int, want: Expected = WANT, content: bytes = BLOB) -> None:
    """What a process leaves that did not get further."""
    partial = await filled(store, upto, want, content)
    await partial.begins("hub", "owner", len(content))  # drains
    await partial.leave(keep=True)


async def finished(partial: Partial, content: bytes = BLOB) -> None:
    await partial.begins("hub", "owner", len(content))
    await partial.write(content[partial.size :])
    await partial.commit()
    await partial.leave(keep=True)


# --- two processes


async def test_another_process_sees_who_fills_and_how_far_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    store, filler = prepared(directory), Filler(directory)
    try:
        filler.tell(1_000_000)
        first = (await store.claim(WANT)).elsewhere
        assert first is not None
        sizes = [first.growing.size]
        filler.tell(2_000_000)
        sizes.append(first.growing.size)
        second = await store.claim(WANT)
        filler.tell(3_000_000)
        filler.tell("commit")
        third = await store.claim(WANT)
    finally:
        filler.kill()

    assert [1_000_000, 2_000_000] == sizes
    assert (Contribution("hub", "owner", 0), len(BLOB)) == (first.parts[0], first.due)
    assert (None, None) == (second.partial, second.held)
    assert BLOB[:100] == first.growing.pread(0, 100)
    assert third.held is not None
    assert third.held.identity == first.growing.identity
    assert [] == arriving(directory)


async def test_what_a_killed_process_left_is_hashed_anew_and_continued(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    store, filler = prepared(directory), Filler(directory)
    filler.tell(1_700_000)
    filler.kill()
    restarted = prepared(directory)
    restarted.sweep()
    partial = await claimed(restarted)
    reached, parts = partial.size, partial.parts
    await finished(partial)

    assert (1_700_000, Contribution("hub", "owner", 0)) == (reached, parts[0])
    assert [f"blobs/sha256/{WANT.digest.hex}"] == visible(directory)
    assert [] == arriving(directory)
    assert BLOB == (directory / visible(directory)[0]).read_bytes()
    assert store is not restarted


async def test_all_that_came_is_kept_for_whoever_continues(tmp_path: Path) -> None:
    """Also what was not handed to the disk yet: it would be fetched again."""
    store = prepared(tmp_path)
    partial = await filled(store, 2_000_001)
    await partial.leave(keep=True)
    again = await claimed(store)
    reached = again.size
    await finished(again)

    assert 2_000_001 == reached
    assert [f"blobs/sha256/{WANT.digest.hex}"] == visible(tmp_path)


async def test_what_is_kept_for_whoever_continues_holds_no_more_room_than_it_takes(tmp_path: Path) -> None:
    cap = Boundless()
    await left(prepared(tmp_path, cap=cap), 1000)

    assert [("reserve", len(BLOB)), ("shrink", 1000)] == cap.asked


def remains(directory: Path) -> bytes:
    return (directory / "ingest" / NAME).read_bytes()


async def test_nothing_follows_a_piece_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, write, begun, go_on = (
        await filled(prepared(tmp_path), PIECE),
        os.write,
        threading.Event(),
        threading.Event(),
    )
    await partial.begins("hub", "owner", len(BLOB))  # drains

    def failing(_: int, __: bytes) -> int:
        begun.set()
        go_on.wait(10)
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "write", failing)
    await partial.write(BLOB[PIECE : 2 * PIECE])
    await partial.write(BLOB[2 * PIECE : 2 * PIECE + 1000])
    leaving = asyncio.create_task(partial.leave(keep=True))
    await asyncio.to_thread(begun.wait, 10)
    monkeypatch.setattr(os, "write", write)
    go_on.set()
    await leaving

    assert BLOB[:PIECE] == remains(tmp_path)


async def test_a_piece_that_waits_for_a_thread_is_written_before_the_rest(tmp_path: Path) -> None:
    store, go_on = prepared(tmp_path), threading.Event()
    partial = await filled(store, 1000)
    for _ in range(store._threads._max_workers):
        store._threads.submit(go_on.wait, 10)
    await partial.write(BLOB[1000:PIECE])
    await partial.write(BLOB[PIECE : PIECE + 1000])
    leaving = asyncio.create_task(partial.leave(keep=True))
    await asyncio.sleep(0)
    go_on.set()
    await leaving

    assert BLOB[: PIECE + 1000] == remains(tmp_path)


async def test_what_was_spoilt_on_the_disk_meanwhile_is_not_taken(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await left(store, 2_000_000)
    with (tmp_path / "ingest" / NAME).open("r+b") as file:
        file.seek(1000)
        file.write(bytes(4096))
    partial = await claimed(store)
    await partial.begins("hub", "owner", len(BLOB))
    await partial.write(BLOB[partial.size :])
    with pytest.raises(DigestMismatch):
        await partial.commit()
    await partial.leave(keep=False)

    assert [] == visible(tmp_path) == arriving(tmp_path)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "thrown away"])
async def test_an_old_descriptor_is_never_written_through(
    committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has opened the file and is about to lock it when the first is done with it."""
    store, second = prepared(tmp_path), prepared(tmp_path)
    first = await filled(store, len(BLOB))
    reading = first.growing
    opened, go_on, lock = threading.Event(), threading.Event(), fcntl.flock

    def late(fd: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX | fcntl.LOCK_NB and not opened.is_set():
            opened.set()
            go_on.wait(10)
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    claiming = asyncio.create_task(second.claim(WANT))
    await asyncio.to_thread(opened.wait, 10)
    if committed:
        await first.commit()
    await first.leave(keep=False)
    go_on.set()
    claim = await claiming

    if committed:
        assert claim.held is not None
        assert BLOB == await claim.held.read()
        assert [] == arriving(tmp_path)
    else:
        assert claim.partial is not None
        assert 0 == claim.partial.size
        assert claim.partial.growing.identity != reading.identity
        await claim.partial.leave(keep=False)


@pytest.mark.parametrize("end", ["commit", "drop"])
async def test_a_second_process_with_an_old_descriptor_does_not_write_through_it(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened the growing file; by the time it has the lock, that is a blob, or nothing."""
    store, filler, lock, ended = prepared(tmp_path / "cache"), Filler(tmp_path / "cache"), fcntl.flock, False
    filler.tell(len(BLOB))

    def late(fd: int, operation: int) -> None:
        nonlocal ended
        if operation == fcntl.LOCK_EX | fcntl.LOCK_NB and not ended:
            ended = True
            filler.tell(end)
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    try:
        claim = await store.claim(WANT)
        if claim.partial is not None:
            await claim.partial.begins("hub", "owner", len(BLOB))
            await claim.partial.write(b"another beginning")
            await claim.partial.leave(keep=False)
    finally:
        filler.kill()
    blob = tmp_path / "cache" / "blobs" / "sha256" / WANT.digest.hex

    assert ended
    assert (end == "commit") == (claim.held is not None)
    assert BLOB == blob.read_bytes() if end == "commit" else not blob.exists()
    assert [] == arriving(tmp_path / "cache")


async def test_only_one_of_many_is_given_it(tmp_path: Path) -> None:
    stores = [prepared(tmp_path) for _ in range(4)]
    claims = await asyncio.gather(*(store.claim(WANT) for store in stores for _ in range(8)))
    given = [claim.partial for claim in claims if claim.partial is not None]

    assert 1 == len(given)
    assert 31 == sum(claim.elsewhere is not None for claim in claims)
    await given[0].leave(keep=False)


async def test_a_commit_shows_as_the_blob_to_whoever_waits(tmp_path: Path) -> None:
    store, other = prepared(tmp_path), prepared(tmp_path)
    partial = await filled(store, len(BLOB))
    before = await other.claim(WANT)
    await partial.commit()
    while_it_is_left = await other.claim(WANT)
    await partial.leave(keep=True)

    assert before.elsewhere is not None
    assert while_it_is_left.held is not None
    assert [f"blobs/sha256/{WANT.digest.hex}"] == visible(tmp_path)
    assert [] == arriving(tmp_path)


async def test_a_file_that_is_being_made_durable_can_still_be_opened_for_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only, nobody but root can open it to continue it: neither meanwhile, nor if the process is killed there."""
    store = prepared(tmp_path)
    modes, sync = [], os.fsync

    def look(fd: int) -> None:
        modes.append(os.fstat(fd).st_mode & 0o777)
        sync(fd)

    monkeypatch.setattr(os, "fsync", look)
    partial = await filled(store, len(BLOB))
    await partial.commit()
    await partial.leave(keep=True)

    assert 0o600 == modes[0]
    assert 0o444 == (tmp_path / "blobs" / "sha256" / WANT.digest.hex).stat().st_mode & 0o777


async def test_a_package_is_found_by_its_tar_from_the_moment_it_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two, another process would find neither the package nor a partial of it, and fetch it once more."""
    store, want, found, rename = prepared(tmp_path), Expected(unpacked=UNPACKED), [], os.replace

    def look(source: Path, target: Path) -> None:
        rename(source, target)
        if Path(target).parent.parent.name == "blobs":
            found.append(store.find_here(want))

    partial = await claimed(store, want)
    await partial.begins("quay", "owner", None)
    await partial.write(packed())
    monkeypatch.setattr(os, "replace", look)
    await partial.commit()
    await partial.leave(keep=True)

    (by_tar,) = found
    assert by_tar is not None
    assert packed() == await by_tar.read()


async def test_a_sidecar_that_is_being_written_when_its_writer_leaves_goes_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, begun, go_on, rename = prepared(tmp_path), threading.Event(), threading.Event(), os.replace

    def slow(source: Path, target: Path) -> None:
        begun.set()
        go_on.wait(10)
        rename(source, target)

    partial = await claimed(store)
    monkeypatch.setattr(os, "replace", slow)
    beginning = asyncio.create_task(partial.begins("hub", "owner", len(BLOB)))
    await asyncio.to_thread(begun.wait, 10)
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    leaving = asyncio.create_task(partial.leave(keep=True))
    await asyncio.wait([leaving], timeout=0.2)
    go_on.set()
    await leaving

    assert [] == arriving(tmp_path)


# --- begun anew


async def test_what_is_thrown_away_is_begun_anew_in_another_file(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    first = await filled(store, 2_000_000)
    await first.begins("hub", "owner", len(BLOB))
    reader = first.growing
    await first.leave(keep=False)
    gone = arriving(tmp_path)
    second = await claimed(store)
    await second.begins("hub", "owner", len(BLOB))
    await second.write(bytes(1000))

    assert [] == gone
    assert second.growing.identity != reader.identity
    assert BLOB[:2_000_000] == reader.pread(0, 3_000_000)
    await second.leave(keep=False)


SIDECARS = {
    "missing": None,
    "empty": b"",
    "garbled": b'{"expected": ',
    "no object": b"[1, 2]",
    "no parts": b"{}",
    "nobody's": json.dumps({"expected": WANT.key, "size": 1, "parts": []}).encode(),
    "of another digest": json.dumps(
        {"expected": Expected(Digest.of(b"")).key, "size": len(BLOB), "parts": [["hub", "owner", 0]]}
    ).encode(),
    "parts of another shape": json.dumps({"expected": WANT.key, "size": None, "parts": [["hub"]]}).encode(),
    "parts that are null": json.dumps({"expected": WANT.key, "size": None, "parts": None}).encode(),
    "parts from nowhere": json.dumps(
        {"expected": WANT.key, "size": None, "parts": [["hub", "owner", float("inf")]]}
    ).encode(),
    "accounts of another shape": json.dumps(
        {"expected": WANT.key, "size": len(BLOB), "parts": [["hub", "owner", 0]], "whose": ["hub"]}
    ).encode(),
    "no text": b"\xff\xfe\x00",
    "of less than is there": json.dumps({"expected": WANT.key, "size": 1000, "parts": [["hub", "owner", 0]]}).encode(),
    "deep": b"[" * 60_000,
}


@pytest.mark.parametrize("said", SIDECARS.values(), ids=SIDECARS)
async def test_what_nobody_can_vouch_for_is_begun_anew(said: bytes | None, tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await left(store, 2_000_000)
    sidecar = (tmp_path / "ingest" / NAME).with_suffix(".json")
    if said is None:
        sidecar.unlink()
    else:
        sidecar.write_bytes(said)
    partial = await claimed(store)
    reached, parts = partial.size, partial.parts
    await finished(partial)

    assert (0, ()) == (reached, parts)
    assert [] == arriving(tmp_path)
    assert [f"blobs/sha256/{WANT.digest.hex}"] == visible(tmp_path)


async def test_a_package_is_always_begun_anew(tmp_path: Path) -> None:
    want = Expected(unpacked=UNPACKED)
    store = prepared(tmp_path)
    await left(store, 50, want, packed())
    there = len(arriving(tmp_path))
    partial = await claimed(store, want)
    reached = partial.size
    await finished(partial, packed())
    found = await store.find(want)

    assert (2, 0) == (there, reached)
    assert found is not None
    assert packed() == await found.read()
    assert [] == arriving(tmp_path)
    assert TAR != packed()


async def test_a_link_that_a_killed_process_left_keeps_no_package_from_being_kept(tmp_path: Path) -> None:
    store, want = prepared(tmp_path), Expected(unpacked=UNPACKED)
    (tmp_path / "ingest" / part_name(want)).with_suffix(".link").symlink_to(f"../../blobs/sha256/{'0' * 64}")
    claim = await store.claim(want)
    assert claim.partial is not None
    await claim.partial.begins("quay", "owner", None)
    await claim.partial.write(packed())
    await claim.partial.commit()
    await claim.partial.leave(keep=True)

    assert await store.find(want) is not None
    assert [] == arriving(tmp_path)


async def test_a_link_in_the_place_of_a_partial_is_not_followed(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "ingest" / NAME).symlink_to(victim)
    with pytest.raises(StoreFailed):
        await store.claim(WANT)

    assert b"mine" == victim.read_bytes()


# --- no lock is left behind


async def test_a_cancelled_claim_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = prepared(tmp_path)
    inside, go_on, find = threading.Event(), threading.Event(), store._open

    def slow(expected: Expected) -> object:
        inside.set()
        go_on.wait(10)
        return find(expected)

    monkeypatch.setattr(store, "_open", slow)
    claiming = asyncio.create_task(store.claim(WANT))
    await asyncio.to_thread(inside.wait, 10)
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    go_on.set()
    await asyncio.to_thread(store.close)
    again = await prepared(tmp_path).claim(WANT)

    assert again.partial is not None
    await again.partial.leave(keep=False)


async def test_what_had_come_stays_where_looking_at_it_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(tmp_path)
    await left(store, 2_000_000)
    inside, go_on, rehash = threading.Event(), threading.Event(), OpenPart.rehash

    def slow(part: OpenPart, next_piece: Callable[[], None]) -> None:
        inside.set()
        go_on.wait(10)
        rehash(part, next_piece)

    monkeypatch.setattr(OpenPart, "rehash", slow)
    partial = await claimed(store)
    beginning = asyncio.create_task(partial.begins("hub", "owner", len(BLOB)))
    await asyncio.to_thread(inside.wait, 10)
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    leaving = asyncio.create_task(partial.leave(keep=True))
    go_on.set()
    await leaving
    await asyncio.to_thread(store.close)
    again = await claimed(prepared(tmp_path))

    assert 2_000_000 == again.size
    await again.leave(keep=False)


async def test_what_cannot_be_read_again_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spoilt sector: for as long as the file is there nobody can fill it."""
    store = prepared(tmp_path)
    await left(store, 2_000_000)

    def fails(part: OpenPart, next_piece: Callable[[], None]) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(OpenPart, "rehash", fails)
    partial = await claimed(store)
    with pytest.raises(StoreFailed):
        await partial.begins("hub", "owner", len(BLOB))
    await partial.leave(keep=False)
    again = await claimed(store)

    assert 0 == again.size
    await again.leave(keep=False)


async def test_what_was_left_is_looked_at_only_by_whoever_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else small requests, for which nobody sends anything, could have all of it hashed again and again."""
    store = prepared(tmp_path)
    await left(store, 2_000_000)
    looked: list[OpenPart] = []
    rehash = OpenPart.rehash

    def counted(part: OpenPart, next_piece: Callable[[], None]) -> None:
        looked.append(part)
        rehash(part, next_piece)

    monkeypatch.setattr(OpenPart, "rehash", counted)
    for _ in range(3):
        await (await claimed(store)).leave(keep=True)
    before = len(looked)
    partial = await claimed(store)
    await partial.begins("hub", "owner", len(BLOB))
    await partial.begins("hub", "mirror-1", len(BLOB))
    await partial.write(BLOB[2_000_000:])
    held = await partial.commit()

    assert (0, 1) == (before, len(looked))
    assert WANT.content == held.digest


async def test_what_was_left_is_hashed_by_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, pieces = prepared(tmp_path), list[int]()
    await left(store, 2_500_000)
    monkeypatch.setattr(hashing, "next_piece", lambda: pieces.append(1))
    partial = await claimed(store)
    await partial.begins("hub", "owner", len(BLOB))
    await partial.leave(keep=True)

    assert 3 == len(pieces)


async def test_a_source_that_is_given_up_while_the_disk_is_busy_costs_nothing_of_what_came(
    tmp_path: Path,
) -> None:
    """A piece that waits for a thread is written, whoever goes."""
    store = prepared(tmp_path)
    busy = threading.Event()
    for _ in range(WRITERS):
        store._threads.submit(busy.wait, 10)
    partial = await claimed(store)
    beginning = asyncio.create_task(partial.begins("hub", "mirror-1", len(BLOB)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    busy.set()
    await partial.begins("hub", "owner", len(BLOB))
    await partial.write(BLOB)

    assert WANT.content == (await partial.commit()).digest


async def test_a_claim_that_fails_half_way_leaves_no_lock_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor to be had: for as long as the process lived nobody could fill it any more."""
    store = prepared(tmp_path)
    await left(store, 2_000_000)

    def fails(part: OpenPart) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(OpenPart, "reader", fails)
        with pytest.raises(StoreFailed):
            await store.claim(WANT)
    again = await store.claim(WANT)

    assert again.partial is not None
    await again.partial.leave(keep=False)


async def test_a_room_that_fails_at_the_end_does_not_keep_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(tmp_path)
    partial = await filled(store, 1000)
    await partial.begins("hub", "owner", len(BLOB))

    def fails(part: str, total: int) -> None:
        raise StoreFailed("the index is away")

    monkeypatch.setattr(store._yard.cap, "shrink", fails)
    await partial.leave(keep=True)
    again = await store.claim(WANT)

    assert again.partial is not None
    await again.partial.leave(keep=False)


# --- what is swept


async def test_the_sweep_keeps_what_may_be_continued_and_takes_the_rest(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await left(store, 1000)
    ingest = tmp_path / "ingest"
    alone = part_name(Expected(Digest.of(b"alone")))
    (ingest / alone).touch()
    (ingest / part_name(Expected(Digest.of(b"lost")))).with_suffix(".json").write_text("{}")
    (ingest / "0123456789abcdef.new").write_text("{}")
    os.utime(ingest / "0123456789abcdef.new", (0, 0))
    (ingest / "fedcba9876543210.new").write_text("{}")
    swept = store.sweep()

    assert 3 == swept
    assert sorted([NAME, NAME.replace(".part", ".json"), "fedcba9876543210.new"]) == arriving(tmp_path)


async def test_a_sidecar_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = prepared(tmp_path)
    partial = await claimed(store)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreFailed, match="disk is full"):
        await partial.begins("hub", "owner", None)
    await partial.leave(keep=False)

    assert [] == arriving(tmp_path)


async def test_bytes_that_are_brought_whole_meanwhile_are_found(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    partial = await filled(store, 1000)
    await put(store, BLOB, WANT, 1_000_000)
    await partial.write(BLOB[1000:])
    await partial.commit()
    await partial.leave(keep=True)

    assert [] == arriving(tmp_path)
    assert [f"blobs/sha256/{WANT.digest.hex}"] == visible(tmp_path)


async def test_whose_the_bytes_are_is_not_told_by_what_is_said_of_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was opened, thrown away and begun anew before what stands beside it was read."""
    one, two = prepared(tmp_path), prepared(tmp_path)
    evil = await claimed(one)
    await evil.begins("evil", "owner", None)
    await evil.write(bytes(200_000))
    loop, read, begun = asyncio.get_running_loop(), partial_module.read_sidecar, list[Partial]()

    async def anew() -> None:
        await evil.leave(keep=False)
        begun.append(await claimed(one))
        await begun[0].begins("hub", "owner", len(BLOB))

    def late(path: Path, expected: Expected, of: Mapping[str, str]) -> tuple[tuple[Contribution, ...], int | None]:
        if not begun:
            asyncio.run_coroutine_threadsafe(anew(), loop).result(5)
        return read(path, expected, of)

    monkeypatch.setattr(partial_module, "read_sidecar", late)
    elsewhere = (await two.claim(WANT)).elsewhere
    await begun[0].leave(keep=False)

    assert elsewhere is not None
    assert (0, "hub") == (elsewhere.size, elsewhere.parts[0].upstream)
