"""A gateway that was killed is told of by the one that comes next, once."""

import os
from pathlib import Path

from apprproxy.store.runs import Run


def test_one_that_stopped_leaves_nothing(tmp_path: Path) -> None:
    Run(tmp_path / "runs").close()

    assert [] == list((tmp_path / "runs").iterdir())
    assert [] == Run(tmp_path / "runs").broken_off


def test_one_that_runs_is_not_told_of(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs")

    assert [] == Run(tmp_path / "runs").broken_off
    run.close()


def test_one_that_was_killed_is_told_of_once(tmp_path: Path) -> None:
    left = tmp_path / "runs" / "of-one-that-was-killed.run"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (1000, 1000))

    assert [1000] == Run(tmp_path / "runs").broken_off
    assert [] == Run(tmp_path / "runs").broken_off


def test_what_somebody_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "runs" / "a.run").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "runs" / "b.run")

    assert len(Run(tmp_path / "runs").broken_off) <= 1
    assert "mine" == (tmp_path / "victim").read_text()
