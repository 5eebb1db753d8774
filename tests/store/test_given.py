"""Root gives away what it has made in a cache, and nothing that somebody put there for it to find."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.store.database import exclusively
from apprproxy.store.generation import Generation
from apprproxy.store.part import open_part
from apprproxy.store.place import prepare
from apprproxy.store.quarantine import quarantined
from apprproxy.store.sound import mark
from apprproxy.store.users import Users
from apprproxy.store.whole import write_whole
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.unrepaired import note
from tests.fakes.stranger import NOBODY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give anything away")


def locked(root: Path) -> None:
    with exclusively(root / "index.db"):
        pass


OPENED: dict[str, Callable[[Path], object]] = {
    "spare": prepare,
    "index.lock": locked,
    "names/generation": lambda root: Generation(root / "names" / "generation").close(),
    "unrepaired.lines": lambda root: note(root, Finding(Fault.LINK, "sha256:" + "a" * 64, "wrong")),
    "ingest/known.part": lambda root: os.close(open_part(root / "ingest" / "known.part")[0]),
}


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A cache whose gateway is nobody."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "cache"
        prepare(root)
        (root / "spare").unlink(missing_ok=True)
        for path in (root, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        yield root


@pytest.mark.parametrize("name", OPENED)
def test_what_a_link_leads_to_is_neither_given_away_nor_written(name: str, theirs: Path) -> None:
    secret = theirs.parent / "shadow"
    secret.write_text("root's\n")
    (theirs / name).symlink_to(secret)
    with suppress(StoreFailed, OSError):
        OPENED[name](theirs)

    assert (0, "root's\n") == (secret.stat().st_uid, secret.read_text())


MARKED: dict[str, Callable[[Path], object]] = {
    "index.suspect": lambda root: Users(root / "index.db").mark(),
    "index.doubtful": lambda root: Users(root / "index.db").doubt(),
    "names/cache.suspect": lambda root: mark(root / "names" / "cache.db"),
}


@pytest.mark.parametrize("name", MARKED)
def test_a_mark_is_made_through_no_link_and_is_theirs(name: str, theirs: Path) -> None:
    (theirs / name).symlink_to(theirs.parent / "mark")
    MARKED[name](theirs)
    led = (theirs.parent / "mark").exists()
    (theirs / name).unlink()
    MARKED[name](theirs)

    assert (False, NOBODY) == (led, (theirs / name).stat().st_uid)


FOLDERS: dict[str, Callable[[Path], object]] = {
    "blobs": prepare,
    "names": prepare,
    "search": lambda root: write_whole(root / "search" / "hub.json", b"{}"),
    "quarantine": lambda root: quarantined(root, root / "blobs" / "sha256" / "strange", "strange"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_root_moves_and_makes_nothing_where_a_link_of_theirs_leads(name: str, theirs: Path) -> None:
    (elsewhere := theirs.parent / "cron.hourly").mkdir()
    (theirs / "blobs" / "sha256" / "strange").touch()
    if (theirs / name).exists():
        (theirs / name).rename(theirs / "before")
    (theirs / name).symlink_to(elsewhere)
    with pytest.raises(StoreFailed, match=f"{name} is a link in a folder of .*, which root does not follow: run this"):
        FOLDERS[name](theirs)

    assert [] == list(elsewhere.iterdir())


def test_root_follows_a_link_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "names").symlink_to(tmp_path / "large")
    prepare(tmp_path / "cache")

    assert (tmp_path / "cache" / "names").is_symlink()


@pytest.mark.parametrize("name", OPENED)
def test_a_file_of_roots_that_was_moved_there_stays_roots(name: str, theirs: Path) -> None:
    (theirs.parent / "log").write_text("root's\n")
    (theirs.parent / "log").rename(theirs / name)
    with suppress(StoreFailed, OSError):
        OPENED[name](theirs)

    assert 0 == (theirs / name).stat().st_uid


@pytest.mark.parametrize("name", OPENED)
def test_what_root_makes_there_is_theirs(name: str, theirs: Path) -> None:
    OPENED[name](theirs)

    assert NOBODY == (theirs / name).stat().st_uid


def test_a_cache_that_the_configuration_names_by_a_link_is_used(theirs: Path) -> None:
    """That is the operator's word, in whosever folder it stands."""
    os.chown(theirs.parent, NOBODY, NOBODY)
    (theirs.parent / "named").symlink_to(theirs)
    prepare(theirs.parent / "named")

    assert NOBODY == (theirs / "spare").stat().st_uid
