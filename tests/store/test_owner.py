"""What root makes in a cache is its owner's, and what is somebody else's is said."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.store.ledger import Ledger
from apprproxy.store.names import DiskNames
from apprproxy.store.owner import me, trouble
from apprproxy.store.place import prepare, strange
from apprproxy.store.quarantine import quarantined
from apprproxy.store.runs import Run
from apprproxy.store.whole import write_whole
from tests.fakes.clock import Clock
from tests.fakes.stranger import NOBODY
from tests.store.contents import Told
from tests.store.ledgers import CAP, opened


def used(root: Path) -> None:
    """As a command does that begins all anew."""
    prepare(root)
    Ledger(root, CAP, Clock(), Told()).close()
    DiskNames(root / "names").close()
    Run(root / "runs", CAP, Clock())
    write_whole(root / "search" / "hub.json", b"{}")
    (root / "blobs" / "sha256" / "strange").touch()
    quarantined(root, root / "blobs" / "sha256" / "strange", "strange")


@pytest.mark.parametrize("broken", [False, True], ids=["new", "broken"])
def test_what_a_command_makes_as_root_is_the_gateways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    given = set[int]()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda fd, *_: given.add(os.fstat(fd).st_ino))
    (tmp_path / "cache").mkdir()
    used(tmp_path / "cache")
    if broken:
        (tmp_path / "cache" / "index.suspect").touch()
        (tmp_path / "cache" / "names" / "cache.db").write_bytes(b"no database at all, " * 1000)
        used(tmp_path / "cache")
    others = {"strange", "strange.1", "index.db.broken-1-wal"}  # sqlite gives its logs away as their file is

    assert others >= {path.name for path in (tmp_path / "cache").rglob("*") if path.lstat().st_ino not in given}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_root_that_may_give_nothing_away_uses_a_cache_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", refuse)
    used(tmp_path / "cache")

    assert (tmp_path / "cache" / "names" / "cache.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is somebody else's")
@pytest.mark.parametrize("name", ["index.db", "index.lock", "names/cache.db", "names/cache.lock"])
def test_an_index_that_is_roots_is_said_and_how_to_give_it_back(name: str) -> None:
    with TemporaryDirectory() as folder:  # whose parents anybody may pass through
        root = Path(folder)
        with opened(root):
            DiskNames(root / "names").close()
        for path in (root, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.chown(root / name, 0, 0)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(StoreFailed, match=rf"{name} is root's, .*`chown --reference={(root / name).parent} "):
                used(root)
        finally:
            os.seteuid(0)


@pytest.fixture
def carried() -> Iterator[Path]:
    """A cache that root has made, below what anybody may pass through; root owns whatever the others are given."""
    if os.geteuid() != 0:
        pytest.skip("only root can make what is somebody else's")
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "cache"
        used(root)
        yield root


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("given", "told"), [([], "cache"), ([""], "cache/blobs"), (["", "blobs", "blobs/sha256"], "cache/blobs/sha512")]
)
def test_a_cache_that_was_carried_by_somebody_else_says_whose_it_is(given: list[str], told: str, carried: Path) -> None:
    for name in given:
        os.chown(carried / name, NOBODY, NOBODY)
    with nobody():
        with pytest.raises(StoreFailed) as refused:
            prepare(carried)
        foreseen = strange(carried)

    assert foreseen.startswith(f"{carried.parent}/{told} is root's, and this is ")
    assert foreseen.endswith(f"`chown -R {NOBODY} {carried}`")
    assert f"cache.directory {carried}: {foreseen}" == str(refused.value)


def test_where_no_cache_can_be_made_it_is_said_who_could(carried: Path) -> None:
    with (
        nobody(),
        pytest.raises(StoreFailed, match=f"{carried.parent} is root's, and this is .*, who can have no cache"),
    ):
        prepare(carried.parent / "new" / "cache")


def test_below_a_folder_that_one_may_write_and_not_list_a_cache_can_be_made(carried: Path) -> None:
    (drop := carried.parent / "drop").mkdir()
    drop.chmod(0o1733)
    with nobody():
        prepare(drop / "cache")

    assert NOBODY == (drop / "cache" / "format").stat().st_uid


def test_what_is_ones_own_is_strange_to_nobody(tmp_path: Path) -> None:
    used(tmp_path / "cache")

    assert ["", ""] == [strange(tmp_path / "cache"), strange(tmp_path / "new" / "cache")]


def test_a_disk_on_which_somebody_may_not_write_has_not_failed() -> None:
    told = [trouble(OSError(number, os.strerror(number))) for number in (errno.EACCES, errno.EIO)]

    assert f"the cache's disk may not be used by {me()}: Permission denied" == told[0]
    assert "the cache's disk failed: Input/output error" == told[1]
