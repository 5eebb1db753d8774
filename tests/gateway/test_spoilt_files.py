"""A file of the cache that somebody else spoilt is asked for again, and never served."""

import asyncio
import errno
import os
import sqlite3
from contextlib import closing

import aiohttp
import diskcache
import pytest

from apprproxy.store.directory import sharing
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

APP = "library/app"
LARGE = some_bytes(1_000_000)


async def test_a_truncated_blob_is_fetched_again(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob(APP, LARGE)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")
    await gateway.at_rest()
    (path,) = gateway.cache.glob("blobs/sha256/*")
    path.chmod(0o600)
    os.truncate(path, 1000)
    again = await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")

    assert (200, LARGE) == (again.status, again.body)
    assert again.cache.startswith("fwd=uri-miss")


async def test_what_is_small_and_spoilt_does_not_get_into_memory(registry: Registry, gateways: Gateways) -> None:
    manifest = registry.push(APP, "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/manifests/{digest(manifest)}")
    await gateway.at_rest()
    await gateway.close()
    (path,) = gateway.cache.glob("blobs/sha256/*")
    path.chmod(0o600)
    path.write_bytes(manifest.swapcase())
    gateway = await gateways.start({"hub": registry})
    for _ in range(2):
        got = await gateway.get(f"/v2/hub/{APP}/manifests/{digest(manifest)}")

        assert (200, manifest) == (got.status, got.body)


async def test_a_pipe_in_the_place_of_a_blob_holds_nobody_up(registry: Registry, gateways: Gateways) -> None:
    wanted = registry.add_blob(APP, LARGE)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")
    await gateway.at_rest()
    (path,) = gateway.cache.glob("blobs/sha256/*")
    path.unlink()
    os.mkfifo(path)

    assert LARGE == (await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")).body


async def test_a_bad_sector_breaks_one_answer_off_and_is_fetched_again(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = registry.add_blob(APP, LARGE)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")
    await gateway.at_rest()
    (path,) = gateway.cache.glob("blobs/sha256/*")
    bad, real = path.stat().st_ino, (os.pread, os.sendfile, os.preadv)

    def pread(fd: int, count: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == bad and offset + count > 500_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real[0](fd, count, offset)

    def sendfile(line: int, fd: int, offset: int, count: int) -> int:
        if os.fstat(fd).st_ino == bad and offset + count > 500_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real[1](line, fd, offset, count)

    def preadv(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        if os.fstat(fd).st_ino == bad and offset + len(buffers[0]) > 500_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real[2](fd, buffers, offset, flags)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "sendfile", sendfile)
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")
    again = await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")

    assert (200, LARGE) == (again.status, again.body)
    assert again.cache.startswith("fwd=uri-miss")


async def test_a_name_that_cannot_be_read_is_asked_for_again(registry: Registry, gateways: Gateways) -> None:
    manifest = registry.push(APP, "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/manifests/1.0")
    await gateway.close()
    with closing(sqlite3.connect(gateway.cache / "names" / "cache.db", isolation_level=None)) as names:
        names.execute("UPDATE Cache SET value = X'7b' WHERE key LIKE 'name %'")
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(f"/v2/hub/{APP}/manifests/1.0")
    again = await gateway.get(f"/v2/hub/{APP}/manifests/1.0")

    assert (200, manifest) == (got.status, got.body)
    assert again.cache.startswith("hit")


async def test_an_index_that_breaks_is_told_and_begun_anew_at_the_next_start(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", LARGE)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/manifests/1.0")
    before = await gateway.get("/readyz")
    gateway.app.ledger.database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    path = gateway.cache / "index.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (path.stat().st_size - 4096))
    pulled = await gateway.get(f"/v2/hub/{APP}/blobs/{digest(LARGE)}")
    await gateway.at_rest()
    broken = await gateway.get("/readyz")
    await gateway.close()
    gateway = await gateways.start({"hub": registry})
    kept = await gateway.get(f"/v2/hub/{APP}/blobs/{digest(LARGE)}")
    await gateway.at_rest()
    after = await gateway.get("/readyz")

    assert (200, 200, LARGE) == (before.status, pulled.status, pulled.body)
    assert (200, 200, 200) == (broken.status, kept.status, after.status)
    assert broken.body.startswith(b"ok, but the cache's index is damaged")
    assert b"ok\n" == after.body
    assert 2 == len(gateway.blobs) == gateway.app.ledger.totals().blobs


async def test_a_tag_whose_names_cannot_be_read_is_asked_of_its_owner(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = registry.push(APP, "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/{APP}/manifests/1.0")
    await gateway.close()
    gateway = await gateways.start({"hub": registry})

    def away(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(diskcache.Cache, "get", away)
        tag = await gateway.get(f"/v2/hub/{APP}/manifests/1.0")
        blob = await gateway.get(f"/v2/hub/{APP}/blobs/{digest(b'layer')}")
        ready = await gateway.get("/readyz")
    after = await gateway.get("/readyz")

    assert (200, manifest, 200) == (tag.status, tag.body, blob.status)
    assert (503, 200) == (ready.status, after.status)
    assert b"disk I/O error" in ready.body


async def test_where_first_digests_cannot_be_read_it_is_not_the_upstream_that_failed(
    registry: Registry, gateways: Gateways, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push(APP, "1.0", LARGE)
    gateway = await gateways.start({"hub": oci(registry, moved="refuse")})
    monkeypatch.setattr(diskcache.Cache, "get", lambda *_, **__: 1 / 0)
    refused = await gateway.get(f"/v2/hub/{APP}/manifests/1.0")

    assert 500 == refused.status
    assert "the names in the cache failed" in logged.text
    assert "upstream trouble" not in logged.text


async def test_in_a_view_nobody_is_asked_where_it_cannot_be_read_whose_a_name_is(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first member may have it by now, and would be taken for its owner."""
    other.push(APP, "1.0", LARGE)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    monkeypatch.setattr(diskcache.Cache, "get", lambda *_, **__: 1 / 0)
    refused = await gateway.get(f"/v2/both/{APP}/manifests/1.0")

    assert (500, 0, 0) == (refused.status, registry.count(), other.count())


async def test_what_has_no_first_digest_needs_none_to_be_read(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whether a repository has a blob, while the folder of the names is away."""
    wanted = registry.add_blob(APP, LARGE)
    gateway = await gateways.start({"hub": oci(registry, moved="refuse"), "far": registry})
    monkeypatch.setattr(gateway.app.names.database, "_where_it_is", lambda *_: 1 / 0)
    statuses = [(await gateway.head(f"/v2/{name}/{APP}/blobs/{wanted}")).status for name in ("hub", "far")]

    assert [200, 200] == statuses


async def test_names_that_another_process_holds_are_no_trouble_of_the_upstreams(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 1.0)
    tags = [str(number) for number in range(12)]
    manifests = {tag: registry.push(APP, tag, tag.encode()) for tag in tags}
    gateway = await gateways.start({"hub": {**oci(registry), "timeouts": {"name": "1s"}}})
    await gateway.get(f"/v2/hub/{APP}/manifests/0")
    await gateway.close()
    gateway = await gateways.start({"hub": {**oci(registry), "timeouts": {"name": "1s"}}})
    with closing(sqlite3.connect(gateway.cache / "names" / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pulls = [asyncio.create_task(gateway.get(f"/v2/hub/{APP}/manifests/{tag}")) for tag in tags[1:]]
        held = await gateway.get(f"/v2/hub/{APP}/manifests/0")
        got = await asyncio.gather(*pulls)
        other.execute("ROLLBACK")
    after = [await gateway.get(f"/v2/hub/{APP}/manifests/1") for _ in range(2)]

    assert "hit" == held.cache.partition(";")[0]
    assert [manifests[tag] for tag in tags[1:]] == [one.body for one in got]
    assert {200} == {one.status for one in got}
    assert ["fwd=uri-miss", "hit"] == [one.cache.partition(";")[0] for one in after]


async def test_an_index_that_another_process_holds_does_not_hold_up_a_cold_blob(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PATIENCE", 1.0)
    wanted = registry.add_blob(APP, LARGE)
    gateway = await gateways.start({"hub": registry})
    with closing(sqlite3.connect(gateway.cache / "index.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        got = await gateway.get(f"/v2/hub/{APP}/blobs/{wanted}")
        await gateway.at_rest()
        other.execute("ROLLBACK")

    assert (200, LARGE) == (got.status, got.body)
    assert [] == gateway.blobs
