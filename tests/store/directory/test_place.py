"""A cache directory is local, writable, of a known format, and on one file system; else a sentence says why not."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory import place
from apprproxy.store.directory.place import (
    FORMAT,
    SPARE,
    expect,
    foresee,
    instance,
    mounted_type,
    prepare,
    refuse_network,
    spare_given,
    writable,
)
from apprproxy.store.names.names import DiskNames
from tests.fakes.stranger import closed
from tests.store.ledgers import opened

ELSEWHERE = Path("/dev/shm")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    if not ELSEWHERE.is_dir() or ELSEWHERE.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here (/dev/shm)")
    with TemporaryDirectory(dir=ELSEWHERE) as directory:
        yield Path(directory)


def test_an_empty_directory_becomes_an_oci_image_layout(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "cache"
    prepare(directory)

    assert {"imageLayoutVersion": "1.0.0"} == json.loads((directory / "oci-layout").read_text())
    assert {"schemaVersion": 2, "manifests": []} == json.loads((directory / "index.json").read_text())
    assert all((directory / "blobs" / algorithm).is_dir() for algorithm in ("sha256", "sha512"))
    assert 0o700 == directory.stat().st_mode & 0o777
    assert str(FORMAT) == (directory / "format").read_text().strip()
    assert writable(directory)


def _free(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes, as the disk says."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=size // 4096, f_frsize=4096, f_blocks=1))


def test_room_to_open_the_cache_is_kept_by_and_given_back_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    for free in (2 * SPARE, SPARE, SPARE - 4096, SPARE, 2 * SPARE):
        _free(free, monkeypatch)
        prepare(tmp_path)
        there.append((tmp_path / "spare").exists())

    assert [True, True, False, False, True] == there
    assert SPARE <= (tmp_path / "spare").stat().st_blocks * 512


def test_room_that_was_given_is_kept_again_as_soon_as_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of the index would take it, and needs some to be begun anew: nothing was kept any more, and what others
    gave back went the same way."""
    prepare(tmp_path)
    there = []
    for free in (SPARE, SPARE - 4096):
        with spare_given(tmp_path):
            _free(free, monkeypatch)
        there.append((tmp_path / "spare").exists())

    assert [True, False] == there


@pytest.mark.parametrize("size", [0, SPARE])
def test_room_that_is_kept_by_in_name_only_is_kept_by_at_the_next_start(size: int, tmp_path: Path) -> None:
    """As a start leaves it that was broken off, and a copy that leaves holes."""
    prepare(tmp_path)
    (tmp_path / "spare").unlink()
    (tmp_path / "spare").touch()
    os.truncate(tmp_path / "spare", size)
    prepare(tmp_path)

    assert SPARE <= (tmp_path / "spare").stat().st_blocks * 512
    assert SPARE == (tmp_path / "spare").stat().st_size


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    name = instance(tmp_path)
    (tmp_path / "index.json").write_text('{"schemaVersion":2,"manifests":[],"annotations":{"ours":"1"}}')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prepare(tmp_path)

    assert name == instance(tmp_path)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_copy_of_a_cache_has_a_name_of_its_own(tmp_path: Path) -> None:
    prepare(tmp_path / "a")
    name = instance(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    assert name != instance(tmp_path / "b")
    assert name == instance(tmp_path / "a")


def test_a_cache_has_one_name_by_whatever_path(tmp_path: Path) -> None:
    prepare(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert instance(tmp_path / "a") == instance(tmp_path / "b")


def test_two_caches_have_two_names(tmp_path: Path) -> None:
    for part in ("a", "b"):
        prepare(tmp_path / part)

    assert instance(tmp_path / "a") != instance(tmp_path / "b")


@pytest.mark.parametrize("text", [b"2", b"99\n", b"9" * 9])
def test_a_newer_format_is_refused(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "format").write_bytes(text)
    with pytest.raises(StoreFailed, match=r"newer version; upgrade, or name another cache\.directory"):
        prepare(tmp_path)


@pytest.mark.parametrize("text", [b"x", b"", b"-1", b"\xff\xfe", b"9" * 5000])
def test_a_format_that_is_none_is_said_to_be_damaged(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "format").write_bytes(text)
    with pytest.raises(StoreFailed, match=r"/format is damaged: it says .*; write 1 into it if this apprproxy was"):
        prepare(tmp_path)


def test_a_file_where_the_directory_is_due_is_told_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreFailed, match=r"^cache\.directory .*/cache is no directory$"):
        prepare(tmp_path / "cache")


@pytest.mark.parametrize("name", ["README.md", "src"])
def test_somebody_elses_directory_is_refused_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StoreFailed, match=rf"is no cache and is not empty: it has {name}; "):
        prepare(tmp_path)

    assert [tmp_path / name] == list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [["lost+found"], [".profile", ".bashrc"], ["blobs", "ingest"], ["oci-layout"]])
def test_a_new_volume_and_a_start_that_was_broken_off_are_taken(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    prepare(tmp_path)

    assert (tmp_path / "format").exists()


def test_a_start_that_is_broken_off_anywhere_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("_keep_spare", "_write_once", "_check_file_system"):
        cache = tmp_path / step
        with monkeypatch.context() as patched:
            patched.setattr(place, step, killed)
            with pytest.raises(KeyboardInterrupt):
                prepare(cache)
        prepare(cache)

        assert writable(cache)


def test_a_cache_is_known_whatever_else_lies_there(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "notes.txt").touch()
    prepare(tmp_path)


def test_only_what_was_prepared_is_a_cache(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=f"there is no cache in {tmp_path}: "):
        expect(tmp_path)
    prepare(tmp_path)
    expect(tmp_path)


def test_who_may_not_look_is_told_who_may(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare(cache)
    with closed(cache), pytest.raises(StoreFailed) as refused:
        expect(cache)

    assert str(refused.value).startswith(f"cache.directory {cache}: Permission denied: ")
    assert str(refused.value).endswith("; run this as the user that the gateway runs as")


def test_what_will_be_refused_is_foreseen_and_nothing_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").touch()
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "format").write_text("99")
    before = sorted(tmp_path.rglob("*"))

    for name, said in (
        ("file", "file: .*/file is no directory$"),
        ("file/below/it", "below/it: .*/file is no directory$"),
        ("other", "is no cache and is not empty"),
        ("newer", "newer version"),
    ):
        for looked in (foresee, prepare):
            with pytest.raises(StoreFailed, match=said):
                looked(tmp_path / name)
    assert before == sorted(tmp_path.rglob("*"))


def test_a_directory_may_be_called_as_its_file_system_lets_it(tmp_path: Path) -> None:
    """Some are called in no UTF-8, and some as a database's address is written."""
    for name in (os.fsdecode(b"caf\xe9"), "a?b#c%20d", "e&mode=ro"):
        with opened(tmp_path / name) as cache:
            cache.put("a", 300)
        (tmp_path / name / "index.suspect").touch()
        DiskNames(tmp_path / name / "names").close()
        with opened(tmp_path / name) as cache:
            held = cache.holds("a")

        assert "a" == held


def test_what_can_be_a_cache_is_foreseen_as_one(tmp_path: Path) -> None:
    foresee(tmp_path / "not" / "yet")
    prepare(tmp_path / "cache")
    foresee(tmp_path / "cache")
    with closed(tmp_path / "cache"):
        foresee(tmp_path / "cache")

    assert [tmp_path / "cache"] == list(tmp_path.iterdir())


def test_a_name_that_no_path_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r": File name too long: "):
        expect(tmp_path / ("a" * 5000))


@pytest.mark.parametrize("part", ["ingest", "unpacked"])
def test_parts_on_two_file_systems_are_refused(part: str, tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / "sha256").mkdir()
    (tmp_path / part).symlink_to(elsewhere)
    with pytest.raises(StoreFailed, match="one file system"):
        prepare(tmp_path)


def test_a_file_system_without_hard_links_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick with exFAT, say. "Operation not permitted" sends root to look for rights."""

    def link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreFailed, match=r"^cache.directory .*/cache lies on a file system without hard links"):
        prepare(tmp_path / "cache")


def test_a_directory_that_has_gone_is_not_writable(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "ingest").rmdir()

    assert not writable(tmp_path)


MOUNTS = """\
overlay / overlay rw 0 0
proc /proc proc rw 0 0
/dev/sda1 /var ext4 rw 0 0
nas:/cache /var/cache nfs4 rw 0 0
/dev/sdb1 /var/cache/local xfs rw 0 0
//nas/my\\040share /mnt/my\\040share cifs rw 0 0
tmpfs /mnt/back\\134slash tmpfs rw 0 0
tmpfs /twice tmpfs rw 0 0
host /twice 9p rw 0 0
garbage
"""


@pytest.mark.parametrize(
    ("real", "kind"),
    [
        ("/srv/cache", "overlay"),
        ("/var/lib/cache", "ext4"),
        ("/var/cache", "nfs4"),
        ("/var/cache/apprproxy", "nfs4"),
        ("/var/cache/local/apprproxy", "xfs"),
        ("/var/cached", "ext4"),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/back\\slash", "tmpfs"),
        ("/twice/x", "9p"),
        ("/", "overlay"),
    ],
)
def test_the_file_system_is_that_of_the_longest_and_last_mount_above(real: str, kind: str) -> None:
    assert kind == mounted_type(real, MOUNTS)


def test_without_mounts_nothing_is_known() -> None:
    assert None is mounted_type("/srv", "")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "lustre", "glusterfs"])
def test_network_file_systems_are_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=rf"network file system \({kind}\)"):
        refuse_network(tmp_path, mounted_type(str(tmp_path), f"x / {kind} rw 0 0\n"))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", None])
def test_local_and_unknown_file_systems_are_taken(kind: str | None, tmp_path: Path) -> None:
    refuse_network(tmp_path, kind)
