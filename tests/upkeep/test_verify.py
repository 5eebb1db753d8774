"""Verification beside a gateway at work: what comes and goes meanwhile is no fault."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.settings import Settings
from apprproxy.store.place import prepare
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.verify import verify
from tests.fakes.clock import Clock
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry
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


def test_a_command_that_may_open_no_more_files_sets_no_good_one_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(begun(tmp_path / "cache")) as folder:
        path = folder.root / "blobs" / "sha256" / Digest.of(b"right").hex
        path.write_bytes(b"right")
        real = os.open

        def full(file: Path, *rest: int) -> int:
            if str(file) == str(path):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(file, *rest)

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", full)
            with pytest.raises(StoreFailed, match="Too many open files"):
                findings(folder)

        assert path.exists()


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
