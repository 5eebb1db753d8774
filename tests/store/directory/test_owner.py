"""What is somebody else's in a cache is said, and what stands in its place is not used."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.store.blobs.part import open_part
from apprproxy.store.directory.generation import Generation
from apprproxy.store.directory.owner import me, trouble
from apprproxy.store.directory.place import expect, prepare, strange
from apprproxy.store.directory.quarantine import quarantined
from apprproxy.store.directory.runs import Run
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.names.kept_lists import KeptLists
from apprproxy.store.names.names import DiskNames
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.unrepaired import note
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
    KeptLists(root / "search").save("hub", b"{}")
    (root / "blobs" / "sha256" / "strange").touch()
    quarantined(root, root / "blobs" / "sha256" / "strange", "strange")


OPENED: dict[str, Callable[[Path], object]] = {
    "spare": prepare,
    "index.lock": lambda root: Ledger(root, CAP, Clock(), Told()).close(),
    "names/generation": lambda root: Generation(root / "names" / "generation").close(),
    "unrepaired.lines": lambda root: note(root, Finding(Fault.LINK, "sha256:" + "a" * 64, "wrong")),
    "ingest/known.part": lambda root: os.close(open_part(root / "ingest" / "known.part")[0]),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_a_link_leads_to_is_not_written(name: str, tmp_path: Path) -> None:
    prepare(tmp_path / "cache")
    (tmp_path / "other").write_text("somebody's\n")
    (tmp_path / "cache" / name).unlink(missing_ok=True)
    (tmp_path / "cache" / name).symlink_to(tmp_path / "other")
    with suppress(StoreFailed, OSError):
        OPENED[name](tmp_path / "cache")

    assert "somebody's\n" == (tmp_path / "other").read_text()


def test_whoever_is_let_in_to_the_blobs_may_not_read_what_was_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path):
        modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("index.db*")}

    assert {"index.db": 0, "index.db-wal": 0, "index.db-shm": 0} == modes


def test_a_folder_of_it_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "names").symlink_to(tmp_path / "large")
    used(tmp_path / "cache")

    assert (tmp_path / "large" / "cache.db").exists()


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


def test_a_command_says_so_as_the_gateway_does(carried: Path) -> None:
    with nobody(), pytest.raises(StoreFailed) as refused:
        expect(carried)

    assert str(refused.value).startswith(f"cache.directory {carried}: {carried} is root's, and this is ")
    assert str(refused.value).endswith(f"`chown -R {NOBODY} {carried}`")


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
