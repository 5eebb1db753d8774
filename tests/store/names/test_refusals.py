"""What was refused is remembered: bounded, by name and digest, and over a restart."""

from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.events import Evicted, LieCaught, NameMoved
from apprproxy.store.names.refusals import REMEMBERED, Refusals
from tests.fakes.clock import Clock

RIGHT, WRONG = Digest.of(b"right"), Digest.of(b"wrong")
LIE = LieCaught("hub", "mirror-1", RIGHT, WRONG)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "refusals.json"


def test_lies_and_moved_releases_are_remembered_over_a_restart(path: Path) -> None:
    before = Refusals(path, Clock())
    before(LIE)
    before(NameMoved("hub", "a/b@1.0.0/helm", RIGHT, WRONG, followed=False))
    before(NameMoved("hub", "a/b:latest", RIGHT, WRONG, followed=True))
    before(Evicted(1, 10))
    before.close()
    after = Refusals(path, Clock())
    found = after.of("hub", [str(RIGHT), "a/b@1.0.0/helm", "a/b:latest"])
    elsewhere = after.of("other", [str(RIGHT)])
    after.close()

    assert [("mirror-1", str(RIGHT), WRONG), ("owner", "a/b@1.0.0/helm", WRONG)] == [
        (one.source, one.subject, one.got) for one in found
    ]
    assert [] == elsewhere


def test_a_mirror_that_lies_without_end_fills_neither_memory_nor_disk(path: Path) -> None:
    refusals = Refusals(path, Clock())
    for _ in range(3 * REMEMBERED):
        refusals(LIE)
    found = refusals.of("hub", [str(RIGHT)])
    refusals.close()

    assert REMEMBERED == len(found)
    assert path.stat().st_size < 300 * REMEMBERED
    assert [path] == list(path.parent.iterdir())


def test_a_cache_that_was_moved_away_is_not_begun_anew(path: Path) -> None:
    """It would be a folder with this file alone, and no cache at the next start."""
    moved = path.parent / "cache"
    refusals = Refusals(moved / path.name, Clock())
    refusals(LIE)
    refusals.close()

    assert not moved.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]", b'[["a","b","c","x","y",1]]', b"\xff"])
def test_a_file_that_cannot_be_read_is_begun_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusals = Refusals(path, Clock())
    refusals(LIE)
    refusals.close()
    again = Refusals(path, Clock())
    found = again.of("hub", [str(RIGHT)])
    again.close()

    assert 1 == len(found)


def test_a_disk_that_takes_nothing_costs_the_record_and_no_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    refusals = Refusals(blocked / "refusals.json", Clock())
    refusals(LIE)
    refusals.close()

    assert 1 == len(refusals.of("hub", [str(RIGHT)]))


@pytest.mark.parametrize("at", ["1e300", '"inf"', '"nan"', "null"])
def test_a_file_with_times_that_no_calendar_has_is_none(path: Path, at: str) -> None:
    path.write_text(f'[["hub", "owner", "a/b:1", "{RIGHT}", null, {at}, ""]]')
    refusals = Refusals(path, Clock())
    found = refusals.of("hub", ["a/b:1"])
    refusals.close()

    assert [] == found
