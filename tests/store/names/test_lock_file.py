"""A lock file is read again when it changes, survives a broken version, and is whole at every moment."""

import os
import threading
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.lock import BadLock
from apprproxy.store.names.lock_file import read, update, watched

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "names.lock.json"
    update(path, {"app:1": ONE})
    return path


def test_a_change_is_seen_and_a_broken_one_leaves_the_old_in_force(path: Path) -> None:
    troubles: list[str] = []
    renewed: list[Path] = []
    lock = watched(path, troubles.append, lambda: renewed.append(path))
    before = lock().names
    update(path, {"app:1": TWO})
    changed = lock().names
    path.write_text("{broken")
    broken = [lock().names, lock().names]
    told = list(troubles)
    path.unlink()
    gone = lock().names

    assert [{"app:1": ONE}, {"app:1": TWO}, {"app:1": TWO}] == [before, changed, gone]
    assert [changed] * 2 == broken
    assert [f"{path}: not JSON; the version from before stays in force"] == told
    assert (2, 1) == (len(troubles), len(renewed))


@pytest.mark.parametrize("content", [None, b"\xff", b"[]"])
def test_at_first_it_must_be_right(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadLock, match=str(path)):
        watched(path, print)


def test_an_update_keeps_what_is_there_and_says_what_was(path: Path) -> None:
    changed = update(path, {"app:1": TWO, "app:2": ONE})
    same = update(path, {"app:2": ONE})

    assert {"app:1": ONE, "app:2": None} == changed
    assert {} == same
    assert {"app:1": TWO, "app:2": ONE} == read(path).names
    assert [path] == list(path.parent.iterdir()), "nothing is left over"


def test_a_reader_never_sees_half_of_it(path: Path) -> None:
    inode = path.stat().st_ino
    with path.open() as reader:
        update(path, {"app:2": TWO})
        old = reader.read()

    assert "app:2" not in old
    assert inode != path.stat().st_ino


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    update(link, {"app:2": TWO})

    assert link.is_symlink()
    assert {"app:1": ONE, "app:2": TWO} == read(path).names


def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    writers = [threading.Thread(target=update, args=(path, {f"app:t{at}": ONE})) for at in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert 17 == len(read(path).names)


def test_a_broken_file_is_not_overwritten(path: Path) -> None:
    path.write_text("{broken")

    with pytest.raises(BadLock):
        update(path, {"app:2": TWO})
    assert "{broken" == path.read_text()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadLock, match=os.strerror(2)):
        update(tmp_path / "missing" / "lock", {"app:2": TWO})
