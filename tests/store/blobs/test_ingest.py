"""A visible file is a right file, after anything that can happen on the way in."""

import asyncio
import errno
import fcntl
import gc
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, Lied, NoRoom, StoreFailed
from apprproxy.core.model import Expected
from apprproxy.store.blobs.ingest import PIECE
from apprproxy.store.blobs.part import open_part
from apprproxy.store.directory.locked import is_at
from tests.fakes.stranger import closed
from tests.store.cap import Boundless
from tests.store.contents import CONTENT, DIGEST, TAR, UNPACKED, arriving, packed, prepared, put, visible

ROOT = Path(__file__).parents[3]


async def test_what_was_committed_is_found_and_reads_as_it_was(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    committed = await put(store, CONTENT, Expected(DIGEST))
    found = await store.find(Expected(DIGEST))

    assert found is not None
    assert CONTENT == await found.read() == await committed.read()
    assert (DIGEST, len(CONTENT)) == (found.digest, found.size)
    assert CONTENT[5:12] == found.pread(5, 7)
    assert b"" == found.pread(len(CONTENT), 10)
    assert [f"blobs/sha256/{DIGEST.hex}"] == visible(tmp_path)
    assert [] == arriving(tmp_path)


async def test_a_visible_file_is_read_only_and_so_is_nobodys_to_change(tmp_path: Path) -> None:
    await put(prepared(tmp_path), CONTENT, Expected(DIGEST))

    assert 0o444 == (tmp_path / "blobs" / "sha256" / DIGEST.hex).stat().st_mode & 0o777


async def test_what_is_not_there_is_a_miss(tmp_path: Path) -> None:
    store = prepared(tmp_path)

    assert None is await store.find(Expected(DIGEST))
    assert None is await store.find(Expected(unpacked=UNPACKED))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_every_size_and_both_algorithms_are_taken(size: int, algorithm: str, tmp_path: Path) -> None:
    content = os.urandom(size)
    digest = Digest.of(content, algorithm)
    store = prepared(tmp_path)
    await put(store, content, Expected(digest, size=size), pieces=max(1, size // 7))
    found = await store.find(Expected(digest))

    assert found is not None
    assert content == await found.read()
    assert [f"blobs/{algorithm}/{digest.hex}"] == visible(tmp_path)


WRONG = {
    "another content": (CONTENT[:-1] + b"!", Expected(DIGEST)),
    "a shorter content": (CONTENT[:-1], Expected(DIGEST)),
    "a longer content": (CONTENT + b"!", Expected(DIGEST)),
    "nothing": (b"", Expected(DIGEST)),
    "more than is due": (CONTENT + b"!", Expected(DIGEST, size=len(CONTENT))),
    "less than is due": (CONTENT, Expected(DIGEST, size=len(CONTENT) + 1)),
    "another tar": (packed(), Expected(unpacked=DIGEST)),
    "no gzip file": (TAR, Expected(unpacked=UNPACKED)),
    "half a gzip file": (packed()[:-9], Expected(unpacked=UNPACKED)),
    "the digest of the packed bytes": (packed(), Expected(unpacked=Digest.of(packed()))),
    "the digest of the tar as that of the content": (packed(), Expected(UNPACKED)),
    "the right content under the other algorithm": (CONTENT[1:], Expected(Digest.of(CONTENT, "sha512"))),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_refused_and_leaves_nothing(what: str, tmp_path: Path) -> None:
    content, expected = WRONG[what]
    store = prepared(tmp_path)
    with pytest.raises(Lied, match=r"^up: "):
        await put(store, content, expected)

    assert [] == visible(tmp_path)
    assert [] == arriving(tmp_path)
    assert None is await store.find(expected)


async def test_room_is_reserved_for_what_comes_and_given_back_once_it_is_counted(tmp_path: Path) -> None:
    cap = Boundless()
    await put(prepared(tmp_path, cap=cap), CONTENT, Expected(DIGEST), pieces=len(CONTENT))

    assert [("reserve", None), ("keep", len(CONTENT)), ("release", None)] == cap.asked


async def test_what_is_thrown_away_gives_back_its_room(tmp_path: Path) -> None:
    cap = Boundless()
    with pytest.raises(DigestMismatch):
        await put(prepared(tmp_path, cap=cap), b"something else", Expected(DIGEST))

    assert ["reserve", "release"] == cap.verbs


async def test_a_mismatch_names_both_digests(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch) as caught:
        await put(prepared(tmp_path), b"other", Expected(DIGEST))

    assert (DIGEST, Digest.of(b"other"), "up") == (caught.value.expected, caught.value.got, caught.value.source)


async def test_a_blob_that_is_larger_than_is_taken_is_refused_while_it_comes(tmp_path: Path) -> None:
    store = prepared(tmp_path, max_blob=1000)
    async with store.ingest(Expected(DIGEST), "up") as ingest:
        await ingest.write(bytes(1000))
        with pytest.raises(Lied, match="1000"):
            await ingest.write(b"!")

    assert [] == arriving(tmp_path)


async def test_leaving_without_commit_leaves_nothing_even_when_the_bytes_were_right(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    async with store.ingest(Expected(DIGEST), "up") as ingest:
        await ingest.write(CONTENT)
        held = await ingest.verify()
        before = visible(tmp_path)

    assert CONTENT == await held.read()
    assert [] == before == visible(tmp_path) == arriving(tmp_path)


async def test_what_was_verified_can_be_read_before_it_is_visible_and_after(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    async with store.ingest(Expected(DIGEST), "up") as ingest:
        await ingest.write(CONTENT)
        early = await ingest.verify()
        first = await early.read()
        await ingest.commit()

    assert CONTENT == first == await early.read()


async def test_a_caller_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    begun = asyncio.Event()

    async def write() -> None:
        async with store.ingest(Expected(DIGEST), "up") as ingest:
            await ingest.write(CONTENT[:100])
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [] == visible(tmp_path) == arriving(tmp_path)


async def test_two_who_bring_the_same_bytes_at_once_both_succeed_and_one_file_is_visible(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    held = await asyncio.gather(*(put(store, CONTENT, Expected(DIGEST)) for _ in range(8)))
    await put(store, CONTENT, Expected(DIGEST))

    assert {DIGEST} == {one.digest for one in held}
    assert [f"blobs/sha256/{DIGEST.hex}"] == visible(tmp_path)
    assert [] == arriving(tmp_path)


async def test_bytes_stay_readable_when_their_file_is_removed(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    held = await put(store, CONTENT, Expected(DIGEST))
    (tmp_path / "blobs" / "sha256" / DIGEST.hex).unlink()

    assert CONTENT == await held.read()
    assert None is await store.find(Expected(DIGEST))


# --- the tar inside


async def test_a_package_is_found_by_its_tar_and_kept_under_its_content(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await put(store, packed(), Expected(unpacked=UNPACKED))
    by_tar = await store.find(Expected(unpacked=UNPACKED))
    by_content = await store.find(Expected(Digest.of(packed())))

    assert by_tar is not None
    assert by_content is not None
    assert packed() == await by_tar.read() == await by_content.read()
    assert Digest.of(packed()) == by_tar.digest


async def test_the_first_content_seen_for_a_tar_is_kept(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await put(store, packed(9), Expected(unpacked=UNPACKED))
    await put(store, packed(1), Expected(unpacked=UNPACKED))
    found = await store.find(Expected(unpacked=UNPACKED))

    assert found is not None
    assert packed(9) == await found.read()


async def test_a_tar_whose_content_has_gone_is_a_miss_and_its_next_content_takes_the_place(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    await put(store, packed(9), Expected(unpacked=UNPACKED))
    (tmp_path / "blobs" / "sha256" / Digest.of(packed(9)).hex).unlink()
    missed = await store.find(Expected(unpacked=UNPACKED))
    await put(store, packed(1), Expected(unpacked=UNPACKED))
    found = await store.find(Expected(unpacked=UNPACKED))

    assert missed is None
    assert found is not None
    assert packed(1) == await found.read()


@pytest.mark.parametrize("target", ["nowhere", "../../blobs/sha256/short", "/etc/hostname", "../../blobs/sha256"])
async def test_a_link_that_leads_to_no_blob_is_a_miss_and_is_replaced(target: str, tmp_path: Path) -> None:
    store = prepared(tmp_path)
    (tmp_path / "unpacked" / "sha256" / UNPACKED.hex).symlink_to(target)
    missed = await store.find(Expected(unpacked=UNPACKED))
    await put(store, packed(), Expected(unpacked=UNPACKED))
    found = await store.find(Expected(unpacked=UNPACKED))

    assert missed is None
    assert found is not None
    assert packed() == await found.read()


# --- processes that die


WRITER = """
import asyncio, os, sys
from pathlib import Path
from apprproxy.core.model import Expected
from tests.store.contents import CONTENT, DIGEST, prepared

async def main():
    store = prepared(Path(sys.argv[1]))
    async with store.ingest(Expected(DIGEST), "up") as ingest:
        await ingest.write(CONTENT)
        if sys.argv[2] == "verified":
            await ingest.verify()
        print("written", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


def begin_writing(directory: Path, until: str) -> subprocess.Popen[bytes]:
    """A process that has written everything and published nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), until], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert b"written\n" == process.stdout.readline()
    return process


def end(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    process.communicate()


@pytest.mark.parametrize("until", ["written", "verified"])
def test_a_process_that_is_killed_before_it_publishes_leaves_nothing_visible_and_the_sweep_removes_the_rest(
    until: str, tmp_path: Path
) -> None:
    store = prepared(tmp_path)
    writer = begin_writing(tmp_path, until)
    while_it_lives = (store.sweep(), len(arriving(tmp_path)))
    end(writer, signal.SIGKILL)
    after = (arriving(tmp_path), visible(tmp_path))
    swept = store.sweep()

    assert (0, 1) == while_it_lives
    assert 1 == len(after[0])
    assert [] == after[1]
    assert 1 == swept
    assert [] == arriving(tmp_path)


def test_the_sweep_removes_whatever_nobody_holds_but_not_the_link_that_somebody_is_just_making(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    ingest = tmp_path / "ingest"
    (ingest / "probe-1234").touch()
    for name in ("young.link", "old.link"):
        (ingest / name).symlink_to("../blobs/sha256/x")
    os.utime(ingest / "old.link", (0, 0), follow_symlinks=False)
    swept = store.sweep()

    assert 2 == swept
    assert ["young.link"] == arriving(tmp_path)


def test_the_sweep_takes_no_file_that_somebody_has_begun_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened may be another file by the time that it is locked."""
    store, path = prepared(tmp_path), tmp_path / "ingest" / f"sha256-{'a' * 64}.part"
    first, _ = open_part(path)
    begun, flock = list[int](), fcntl.flock

    def late(fd: int, how: int) -> None:
        monkeypatch.undo()
        path.unlink()
        os.close(first)
        begun.append(open_part(path)[0])
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    store.sweep()
    there = is_at(begun[0], path)
    os.close(begun[0])

    assert there


def test_what_cannot_be_removed_is_no_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that may only be read."""
    store = prepared(tmp_path)
    (tmp_path / "ingest" / "aa.part").touch()
    monkeypatch.setattr(Path, "unlink", refused)

    assert 0 == store.sweep()


def refused(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_an_ingest_that_nobody_may_look_into_is_told_in_a_sentence(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    with closed(tmp_path / "ingest"), pytest.raises(StoreFailed, match=r"^the cache cannot be used: .*: ingest$"):
        store.sweep()


# --- disks that fail


def open_below(directory: Path) -> list[int]:
    """The descriptors that this process has open there."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(str(directory)):
                found.append(int(name))
    return found


async def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(tmp_path)

    def full(fd: int, piece: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with store.ingest(Expected(DIGEST), "up") as ingest:
        monkeypatch.setattr(os, "write", full)
        await ingest.write(CONTENT)
        with pytest.raises(NoRoom, match="disk is full: free space, lower cache"):
            await ingest.commit()
        monkeypatch.undo()

    assert [] == visible(tmp_path) == arriving(tmp_path)


async def test_a_disk_without_inodes_is_not_told_as_one_without_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = prepared(tmp_path), os.statvfs

    def full(fd: int, piece: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def none_left(path: Path) -> os.statvfs_result:
        return os.statvfs_result([*asked(path)[:7], 0, *asked(path)[8:]])

    async with store.ingest(Expected(DIGEST), "up") as ingest:
        monkeypatch.setattr(os, "write", full)
        monkeypatch.setattr(os, "statvfs", none_left)
        await ingest.write(CONTENT)
        with pytest.raises(NoRoom, match="no inodes left"):
            await ingest.commit()
        monkeypatch.undo()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected
from tests.store.contents import CONTENT, DIGEST, prepared, put

store = prepared(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    asyncio.run(put(store, CONTENT, Expected(DIGEST)))
except StoreFailed as failure:
    print(failure)
"""


def test_a_file_that_may_not_grow_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)

    assert "the cache's disk failed: File too large\n" == done.stdout
    assert [] == visible(tmp_path) == arriving(tmp_path)


async def test_a_directory_that_has_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    (tmp_path / "ingest").rmdir()
    with pytest.raises(StoreFailed, match="the cache cannot be written"):
        await put(store, CONTENT, Expected(DIGEST))


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    for _ in range(5):
        await put(store, CONTENT, Expected(DIGEST))
        await store.find(Expected(DIGEST))
        with pytest.raises(Lied):
            await put(store, b"wrong", Expected(DIGEST))
    gc.collect()

    assert [] == open_below(tmp_path)
