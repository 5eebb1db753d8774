"""What stands where a blob should be and is not what was kept is a miss: neither an answer nor a wait."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import SetAside
from apprproxy.core.model import KIB, Expected
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.blobs.hot import LARGEST
from apprproxy.store.directory.place import prepare
from apprproxy.store.index.ledger import Ledger
from tests.fakes.clock import Clock
from tests.fakes.content import some_bytes
from tests.store.contents import LARGE, Told, put

SMALL = some_bytes(4 * KIB)
BIG = some_bytes(LARGEST + 1)


class Shop:
    """A store over a real index."""

    def __init__(self, root: Path) -> None:
        prepare(root)
        self.root = root
        self.told = Told()
        self.ledger = Ledger(root, LARGE, Clock(), self.told)
        self.store = DiskStore(root, self.told, self.ledger, LARGE)

    async def keep(self, content: bytes) -> Path:
        digest = Digest.of(content)
        await put(self.store, content, Expected(digest), pieces=len(content))
        path = self.root / "blobs" / "sha256" / digest.hex
        path.chmod(0o600)
        return path

    async def has(self, content: bytes) -> bool:
        async with asyncio.timeout(5):
            return await self.store.find(Expected(Digest.of(content))) is not None

    @property
    def set_aside(self) -> list[str]:
        return [event.reason for event in self.told.events if isinstance(event, SetAside)]

    def close(self) -> None:
        self.store.close()
        self.ledger.close()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()


@pytest.mark.parametrize("left", [0, 1, LARGEST])
async def test_a_file_that_was_cut_off_is_a_miss_and_is_kept_apart(left: int, shop: Shop) -> None:
    path = await shop.keep(BIG)
    os.truncate(path, left)
    found = await shop.has(BIG)
    await shop.keep(BIG)

    assert not found
    assert await shop.has(BIG)
    assert [left] == [aside.stat().st_size for aside in (shop.root / "quarantine").iterdir()]
    assert [f"it has {left} bytes, and {len(BIG)} were kept"] == shop.set_aside


async def test_a_small_file_of_other_bytes_is_a_miss(shop: Shop) -> None:
    path = await shop.keep(SMALL)
    path.write_bytes(bytes(len(SMALL)))
    found = await shop.has(SMALL)
    await shop.keep(SMALL)

    assert not found
    assert await shop.has(SMALL)
    assert ["its bytes are others"] == shop.set_aside


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        here = os.getcwd()
        os.chdir(path.parent)  # the path itself is longer than an address may be
        try:
            line.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [_link, os.mkfifo, os.mkdir, _socket])
@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "large"])
async def test_what_is_no_file_is_a_miss_at_once_and_gives_way(
    make: Callable[[Path], None], content: bytes, shop: Shop
) -> None:
    path = await shop.keep(content)
    path.unlink()
    make(path)
    found = await shop.has(content)
    gone = not os.path.lexists(path)
    await shop.keep(content)

    assert not found
    assert gone
    assert await shop.has(content)
    assert ["it is no file"] == shop.set_aside


def _fails(call: str, number: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the file that stands there now, wherever it goes."""
    real, bad = getattr(os, call), path.stat().st_ino

    def broken(file: int | Path, *rest: object) -> object:
        if os.path.exists(file) and os.stat(file).st_ino == bad:
            raise OSError(number, os.strerror(number))
        return real(file, *rest)

    monkeypatch.setattr(os, call, broken)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EPERM, errno.EUCLEAN])
async def test_a_file_that_the_disk_does_not_open_is_a_miss_and_gives_way(
    number: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await shop.keep(BIG)
    _fails("open", number, path, monkeypatch)
    found = await shop.has(BIG)
    await shop.keep(BIG)

    assert not found
    assert await shop.has(BIG)
    assert [f"it cannot be read: {os.strerror(number)}"] == shop.set_aside


async def test_a_small_file_that_the_disk_does_not_read_is_a_miss(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await shop.keep(SMALL)
    _fails("pread", errno.EIO, path, monkeypatch)
    found = await shop.has(SMALL)
    await shop.keep(SMALL)

    assert not found
    assert await shop.has(SMALL)
    assert ["it cannot be read: Input/output error"] == shop.set_aside


async def test_a_file_that_turns_out_to_be_bad_when_it_is_read_is_a_miss_from_then_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await shop.keep(BIG)
    held = await shop.store.find(Expected(Digest.of(BIG)))
    assert held is not None
    _fails("pread", errno.EIO, path, monkeypatch)
    with pytest.raises(StoreFailed, match="Input/output error"):
        held.pread(0, 1)
    found = await shop.has(BIG)
    await shop.keep(BIG)
    with pytest.raises(StoreFailed):
        held.pread(0, 1)

    assert not found
    assert await shop.has(BIG), "it is another file that was read in vain"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_process_that_may_open_no_more_sets_no_good_file_aside(
    number: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await shop.keep(BIG)
    with monkeypatch.context() as patched:
        _fails("open", number, path, patched)
        with pytest.raises(StoreFailed):
            await shop.has(BIG)

    assert await shop.has(BIG)
    assert [] == shop.set_aside


async def test_a_disk_that_is_away_as_a_whole_loses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await shop.keep(BIG)

    def away(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", away)
        _fails("open", errno.EIO, path, patched)
        found = await shop.has(BIG)

    assert not found
    assert await shop.has(BIG)
    assert [] == shop.set_aside


async def test_a_folder_that_may_not_be_entered_loses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await shop.keep(BIG)

    def shut(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        _fails("open", errno.EACCES, path, patched)
        patched.setattr(Path, "rename", shut)
        found = await shop.has(BIG)

    assert not found
    assert await shop.has(BIG)
    assert [] == shop.set_aside


async def test_a_file_that_the_index_does_not_know_is_what_it_is(shop: Shop) -> None:
    await shop.keep(BIG)
    with shop.ledger.database.transaction() as db:
        db.execute("DELETE FROM blobs")

    assert await shop.has(BIG)


async def test_a_folder_in_the_place_of_a_blob_keeps_nobody_from_making_room(shop: Shop) -> None:
    path = await shop.keep(BIG)
    path.unlink()
    path.mkdir()
    shop.ledger.free(1)

    assert 0 == shop.ledger.totals().blobs
