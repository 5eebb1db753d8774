"""Verification beside a gateway at work: what comes and goes meanwhile is no fault."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected
from apprproxy.settings import Settings
from apprproxy.store.directory.place import prepare
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.verify import verify
from tests.fakes.clock import Clock
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry
from tests.store.contents import UNPACKED, packed
from tests.store.ledgers import Cache, digest_of

APP = "library/app"
CAP = 64 * 1024**2
MANY = 30


def begun(directory: Path) -> Settings:
    """Of a cache there."""
    prepare(directory)
    return settings_of(directory)


def settings_of(directory: Path) -> Settings:
    return Settings.model_validate({"cache": {"directory": directory, "max_size": "64MiB"}})


def findings(folder: Folder) -> list[Finding]:
    return list(verify(folder, lambda _: None))


async def test_pulls_evictions_and_purges_meanwhile_are_no_fault(registry: Registry, gateways: Gateways) -> None:
    contents = [some_bytes(4 * 1024**2, f"seed {number} ") for number in range(MANY)]
    wanted = [registry.add_blob(APP, content) for content in contents]
    running = await gateways.start({"hub": registry}, cache="cache")
    await running.close()
    directory = running.cache
    cramped = await gateways.start({"hub": registry}, cache="cache", delivery={"max_blob": "16MiB"})
    rounds, found, stop = 0, [], asyncio.Event()

    def verified() -> list[Finding]:
        with opened(settings_of(directory)) as folder:
            return findings(folder)

    async def pull() -> None:
        for one in wanted * 2:
            assert 200 == (await cramped.get(f"/v2/hub/{APP}/blobs/{one}")).status
            if len(cramped.blobs) > 10:
                await asyncio.to_thread(cramped.app.ledger.free, 16 * 1024**2)
        stop.set()

    pulling = asyncio.create_task(pull())
    while not stop.is_set():
        found += await asyncio.to_thread(verified)
        rounds += 1
        if pulling.done():
            break
    await pulling

    assert [] == found
    assert rounds > 1


def test_a_row_of_what_is_being_committed_is_let_be(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", cap=CAP)
    part = tmp_path / "cache" / "ingest" / "a.part"
    part.write_bytes(b"x")
    cache.ledger.keep("a.part", digest_of("a"), 1, None)
    cache.close()
    with opened(begun(tmp_path / "cache"), now=Clock()) as folder:
        found = findings(folder)
        part.unlink()
        lost = findings(folder)

    assert [] == found
    assert [Fault.LOST] == [finding.fault for finding in lost]


def test_the_link_of_a_package_that_was_lost_is_made_again_to_another_of_its_tar(tmp_path: Path) -> None:
    packages = sorted((packed(level) for level in (1, 9)), key=lambda one: Digest.of(one).hex)
    with opened(begun(tmp_path / "cache")) as folder:
        for number, package in enumerate(packages):
            folder.ledger.keep(f"{number}.part", Digest.of(package), len(package), UNPACKED)
            folder.ledger.release(f"{number}.part")
        (folder.root / "blobs" / "sha256" / Digest.of(packages[1]).hex).write_bytes(packages[1])
        found = findings(folder)
        link = folder.root / "unpacked" / "sha256" / UNPACKED.hex
        again = findings(folder)

    assert [Fault.LOST, Fault.UNLINKED] == [finding.fault for finding in found]
    assert packages[1] == link.read_bytes()
    assert [] == again


def test_a_package_that_the_index_did_not_know_is_known_by_its_tar(tmp_path: Path) -> None:
    """So that its pin keeps it."""
    package = Digest.of(packed())
    with opened(begun(tmp_path / "cache")) as folder:
        (folder.root / "blobs" / "sha256" / package.hex).write_bytes(packed())
        (folder.root / "unpacked" / "sha256" / UNPACKED.hex).symlink_to(f"../../blobs/sha256/{package.hex}")
        folder.ledger.membership.link(digest_of("document"), [Expected(unpacked=UNPACKED)])
        folder.ledger.pinned.pin("up/alice/nginx@1.0.0/helm", digest_of("document"))
        found = findings(folder)
        known = folder.holdings.content_of(UNPACKED)
        freed = folder.ledger.free(len(packed()))

    assert [Fault.UNCOUNTED] == [finding.fault for finding in found]
    assert str(package) == known
    assert 0 == freed


def test_a_size_that_the_index_has_wrong_is_mended(tmp_path: Path) -> None:
    content = b"x" * 10
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / Digest.of(content).hex
        path.write_bytes(content)
        folder.ledger.keep("a.part", Digest.of(content), 7, None)
        (finding,) = findings(folder)
        held = folder.ledger.totals().held

    assert (Fault.MISCOUNTED, 10, True) == (finding.fault, held, finding.mended)


def test_a_file_that_was_replaced_while_it_was_read_is_let_be(tmp_path: Path) -> None:
    right = b"right"
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / Digest.of(right).hex
        path.write_bytes(b"wrong")
        new = tmp_path / "new"
        new.write_bytes(right)

        def repaired_meanwhile(_: int) -> None:
            if new.exists():
                os.replace(new, path)

        found = list(verify(folder, repaired_meanwhile, threads=1))

    assert [] == [finding for finding in found if not finding.mended]
    assert right == path.read_bytes()
    assert not (tmp_path / "cache" / "quarantine").exists()


def test_two_wrong_files_of_one_digest_are_both_kept(tmp_path: Path) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / Digest.of(b"right").hex
        for wrong in (b"one", b"two"):
            path.write_bytes(wrong)
            findings(folder)

    quarantine = tmp_path / "cache" / "quarantine"
    assert {b"one", b"two"} == {file.read_bytes() for file in quarantine.iterdir()}


def test_what_is_wrong_bumps_the_generation(tmp_path: Path) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        (folder.root / "blobs" / "sha256" / Digest.of(b"right").hex).write_bytes(b"wrong")
        before = folder.ledger.generation.read()
        findings(folder)
        after = folder.ledger.generation.read()

    assert after != before


def _cannot_open(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it."""
    real = os.open

    def broken(file: Path, flags: int, *rest: int) -> int:
        if str(file) == str(path) and not flags & os.O_PATH:
            raise OSError(number, os.strerror(number))
        return real(file, flags, *rest)

    monkeypatch.setattr(os, "open", broken)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR])
def test_what_says_nothing_of_a_file_sets_none_aside(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / Digest.of(b"right").hex
        path.write_bytes(b"right")
        with monkeypatch.context() as patched:
            _cannot_open(path, number, patched)
            with pytest.raises(StoreFailed, match=os.strerror(number)):
                findings(folder)

        assert path.exists()


def test_what_says_nothing_of_a_package_leaves_its_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        name = Digest.of(packed()).hex
        (folder.root / "blobs" / "sha256" / name).write_bytes(packed())
        link = folder.root / "unpacked" / "sha256" / UNPACKED.hex
        link.symlink_to(f"../../blobs/sha256/{name}")
        real = os.open

        def broken(file: Path, flags: int, *rest: int) -> int:
            if str(file).endswith(name) and not flags & os.O_NONBLOCK:  # which blobs are opened with
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(file, flags, *rest)

        monkeypatch.setattr(os, "open", broken)
        with pytest.raises(StoreFailed, match="Too many open files"):
            findings(folder)

        assert link.is_symlink()


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_file_that_the_disk_does_not_open_is_a_finding_with_its_digest(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Digest.of(b"right")
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / digest.hex
        path.write_bytes(b"right")
        with monkeypatch.context() as patched:
            _cannot_open(path, number, patched)
            (finding,) = findings(folder)

        assert (Fault.UNREADABLE, str(digest)) == (finding.fault, finding.key)
        assert folder.root / "quarantine" / f"sha256-{digest.hex}" == finding.aside


@pytest.mark.parametrize("threads", [1, 4])
def test_every_byte_is_hashed(threads: int, tmp_path: Path) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        for number in range(20):
            content = some_bytes(100_000 + number)
            (folder.root / "blobs" / "sha256" / Digest.of(content).hex).write_bytes(content)
        told: list[int] = []
        found = list(verify(folder, told.append, threads))

    assert sum(range(100_000, 100_020)) == sum(told)
    assert 20 == sum(finding.fault is Fault.UNCOUNTED for finding in found)


def test_a_right_file_of_somebody_else_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, real = begun(tmp_path), os.utime
    cache = Cache(tmp_path, cap=CAP)
    content = b"as root has put it there"
    cache.file(Digest.of(content)).write_bytes(content)
    cache.close()

    def utime(path: int | Path, *args: Any, **more: Any) -> None:
        if isinstance(path, int):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        real(path, *args, **more)

    monkeypatch.setattr(os, "utime", utime)
    with opened(settings) as folder:
        found = findings(folder)

    assert [Fault.UNCOUNTED] == [one.fault for one in found]
