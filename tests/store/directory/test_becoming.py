"""Whom root becomes for a cache: the first who could put something else in its way."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from apprproxy.store.directory.becoming import Owner, become, owner_of
from tests.fakes.stranger import NOBODY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Root's, as all above it; ``cache`` in it is root's as well, and ``theirs`` is nobody's."""
    with TemporaryDirectory() as made:
        folder = Path(made).resolve()
        (folder / "cache" / "blobs").mkdir(parents=True)
        (folder / "theirs").mkdir()
        os.chown(folder / "theirs", NOBODY, NOBODY)
        yield folder


def link(path: Path, target: str | Path, owner: int = 0) -> None:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)


def their_blobs(folder: Path) -> None:
    os.chown(folder / "cache" / "blobs", NOBODY, NOBODY)


FOUND: dict[str, tuple[str, Callable[[Path], object], str | None]] = {
    "all of it is root's": ("cache", lambda _: None, None),
    "it is theirs": ("theirs", lambda _: None, "theirs"),
    "root has made the folder for them": ("cache", their_blobs, "cache/blobs"),
    "root's lies in their folder": ("theirs/cache", lambda folder: (folder / "theirs" / "cache").mkdir(), "theirs"),
    "it is yet to be made, by root": ("new/cache", lambda _: None, None),
    "it is yet to be made, in their folder": ("theirs/new/cache", lambda _: None, "theirs"),
    "a link of root's leads to theirs": ("named", lambda folder: link(folder / "named", folder / "theirs"), "theirs"),
    "a link of root's leads nowhere": ("named", lambda folder: link(folder / "named", "nowhere"), None),
    "a link of theirs leads to root's": ("named", lambda folder: link(folder / "named", "cache", NOBODY), "named"),
    "a link in their folder leads to root's": (
        "theirs/named",
        lambda folder: link(folder / "theirs" / "named", folder / "cache"),
        "theirs",
    ),
    "a link leads past their folder": (
        "named",
        lambda folder: link(folder / "named", "theirs/../cache"),
        "theirs",
    ),
    "their folder is passed by the way up": ("theirs/../cache", lambda _: None, "theirs"),
    "a link leads to itself": ("named", lambda folder: link(folder / "named", "named"), None),
}


@pytest.mark.parametrize("case", FOUND)
def test_whoever_comes_first_on_the_way_is_become(case: str, folder: Path) -> None:
    directory, done, whose = FOUND[case]
    done(folder)

    assert (None if whose is None else Owner(folder / whose, NOBODY, NOBODY)) == owner_of(folder / directory)


def test_whoever_is_not_root_becomes_nobody_else(folder: Path) -> None:
    os.seteuid(1)
    try:
        found = owner_of(folder / "theirs")
    finally:
        os.seteuid(0)

    assert None is found


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_root_that_may_become_nobody_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Without the capability; where the owner is somebody whom the user namespace does not know."""

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    groups = os.getgroups()
    monkeypatch.setattr(os, "seteuid", refuse)

    assert not become(Owner(folder / "theirs", NOBODY, NOBODY))
    assert (0, 0, groups) == (os.geteuid(), os.getegid(), os.getgroups())
