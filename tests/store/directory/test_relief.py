"""What goes from a full disk, and when once more."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from apprproxy.store.directory.relief import AGAIN, STEP, Relief, lacks_files
from tests.fakes.clock import Clock


@pytest.mark.parametrize(
    ("files", "left", "lacks"),
    [(1000, 0, True), (1000, 1, False), (0, 0, False)],
    ids=["none left", "some left", "a file system that counts none"],
)
def test_a_disk_lacks_files_where_it_counts_them(
    files: int, left: int, lacks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """btrfs, for one, says 0 of 0."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=files, f_favail=left))

    assert lacks == lacks_files(tmp_path)


def test_a_disk_that_is_away_lacks_none(tmp_path: Path) -> None:
    assert not lacks_files(tmp_path / "away")


@pytest.mark.parametrize(("kept", "written"), [(STEP // 2, 0), (0, STEP // 2), (STEP // 4, STEP // 4)])
def test_something_goes_once_more_where_half_of_what_went_could_be_kept(kept: int, written: int) -> None:
    relief, held = Relief(Clock()), 10 * STEP
    first = relief.wanted(held, 0)
    relief.went(STEP, held - STEP)
    less = relief.wanted(held - STEP + kept, written - 1)
    again = relief.wanted(held - STEP + kept, written)

    assert (True, False, True) == (first, less, again)


def test_what_was_of_no_use_is_done_again_after_a_while() -> None:
    clock = Clock()
    relief, held = Relief(clock), 10 * STEP
    relief.wanted(held, 0)
    relief.went(STEP, held - STEP)
    clock.advance(AGAIN - 1)
    before = relief.wanted(held - STEP, 0)
    clock.advance(1)

    assert (False, True) == (before, relief.wanted(held - STEP, 0))
