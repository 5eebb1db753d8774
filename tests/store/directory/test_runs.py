"""A gateway that was killed is told of by the one that comes next, once."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from apprproxy.store.directory.runs import Left, Run, caps
from tests.fakes.clock import START, Clock

CAP = 1000


def test_one_that_stopped_leaves_nothing(tmp_path: Path) -> None:
    Run(tmp_path / "runs", CAP, Clock()).close()

    assert [] == list((tmp_path / "runs").iterdir())
    assert [] == Run(tmp_path / "runs", CAP, Clock()).broken_off


def test_one_that_stops_on_a_disk_that_only_reads_by_now_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    run = Run(tmp_path / "runs", CAP, Clock())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        run.close()

    assert 1 == len(Run(tmp_path / "runs", CAP, Clock()).broken_off)


def test_one_that_runs_is_not_told_of(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs", CAP, Clock())

    assert [] == Run(tmp_path / "runs", CAP, Clock()).broken_off
    run.close()


def test_what_caps_gateways_have_is_seen_and_nothing_is_made_or_taken_for_it(tmp_path: Path) -> None:
    none, folder = caps(tmp_path / "runs"), (tmp_path / "runs").exists()
    runs = [Run(tmp_path / "runs", cap, Clock()) for cap in (CAP, 2 * CAP)]
    (tmp_path / "runs" / "left.run").write_bytes(b'{"max_size": 3}')
    both = caps(tmp_path / "runs")
    runs[0].close()

    assert (set(), False) == (none, folder)
    assert {CAP, 2 * CAP} == both
    assert {2 * CAP} == caps(tmp_path / "runs")
    assert (tmp_path / "runs" / "left.run").exists()
    runs[1].close()


def test_one_that_begins_at_the_same_time_is_not_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far it has come."""
    real, others = fcntl.flock, []

    def locked(fd: int, how: int) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(fcntl, "flock", real)
            others.append(Run(tmp_path / "runs", CAP, Clock()))
        real(fd, how)
        monkeypatch.undo()

    monkeypatch.setattr(fcntl, "flock", locked)
    run = Run(tmp_path / "runs", CAP, Clock())
    left = sorted(path.suffix for path in (tmp_path / "runs").iterdir())
    for one in (run, *others):
        one.close()

    assert [[]] == [other.broken_off for other in others]
    assert [".run", ".run"] == left
    assert not list((tmp_path / "runs").iterdir())


def test_one_that_a_full_disk_did_not_let_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "as if")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="as if"):
            Run(tmp_path / "runs", CAP, Clock())

    assert not list((tmp_path / "runs").iterdir())


def test_one_that_was_killed_is_told_of_once(tmp_path: Path) -> None:
    left = tmp_path / "runs" / "of-one-that-was-killed.run"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (1000, 1000))

    assert [Left(1000, 1000)] == Run(tmp_path / "runs", CAP, Clock()).broken_off
    assert [] == Run(tmp_path / "runs", CAP, Clock()).broken_off


def test_what_is_told_of_it_is_when_it_began_and_when_it_was_seen_last(tmp_path: Path) -> None:
    clock = Clock()
    killed = Run(tmp_path / "runs", CAP, clock)
    clock.advance(3600)
    killed.sign()
    os.close(killed._fd)

    assert [Left(START, START + 3600)] == Run(tmp_path / "runs", CAP, clock).broken_off


def test_gateways_that_have_another_cap_are_known(tmp_path: Path) -> None:
    small, same = Run(tmp_path / "runs", 10, Clock()), Run(tmp_path / "runs", CAP, Clock())
    last = Run(tmp_path / "runs", CAP, Clock())
    for run in (small, same):
        run.close()

    assert {10} == same.others == last.others
    assert set() == Run(tmp_path / "runs", CAP, Clock()).others


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b'{"begun": "x", "max_size": null}'])
def test_a_file_that_says_nothing_is_one_all_the_same(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.run").write_bytes(content)

    assert 1 == len(Run(tmp_path / "runs", CAP, Clock()).broken_off)


@pytest.mark.parametrize("begun", ["1e300", "-1e300", "2000.5"])
def test_what_was_seen_last_had_not_begun_later(tmp_path: Path, begun: str) -> None:
    left = tmp_path / "runs" / "a.run"
    left.parent.mkdir()
    left.write_text(f'{{"begun": {begun}, "max_size": 1}}')
    os.utime(left, (1000, 1000))

    assert [Left(1000, 1000)] == Run(tmp_path / "runs", CAP, Clock()).broken_off


def test_what_somebody_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "runs" / "a.run").symlink_to(tmp_path / "victim")
    os.mkfifo(tmp_path / "runs" / "b.run")

    assert len(Run(tmp_path / "runs", CAP, Clock()).broken_off) <= 1
    assert "mine" == (tmp_path / "victim").read_text()
