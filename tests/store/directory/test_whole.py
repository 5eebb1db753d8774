"""A file that is there is whole, whatever happened while it was written."""

import fcntl
import os
from pathlib import Path

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory.whole import read_whole, write_whole
from apprproxy.store.names.kept_lists import KeptLists


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = KeptLists(tmp_path / "search")
    kept.save("quay.io", b"first")
    kept.save("quay.io", b"second")

    assert (b"second", None) == (kept.load("quay.io"), kept.load("docker.io"))
    assert ["quay.io.json"] == [path.name for path in (tmp_path / "search").iterdir()]


def test_a_disk_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"first")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFailed):
        write_whole(path, b"second")

    assert b"first" == read_whole(path, 100)
    assert [path] == list(tmp_path.iterdir())


def test_what_is_larger_than_anything_that_was_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 11)

    assert (None, None) == (read_whole(path, 10), read_whole(tmp_path / "other", 10))


def test_what_a_killed_process_left_half_written_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    left, written = tmp_path / ".file-1234abcd", tmp_path / ".file-5678abcd"
    left.write_bytes(b"half")
    written.write_bytes(b"ha")
    with written.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_whole(tmp_path / "file", b"whole")

    assert {"file", written.name} == {path.name for path in tmp_path.iterdir()}
    assert b"whole" == read_whole(tmp_path / "file", 10)
