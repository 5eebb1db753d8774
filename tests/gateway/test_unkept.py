"""A disk or a cap that takes nothing costs an upstream transfer, never a client's pull."""

import asyncio
import errno
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from apprproxy.core.errors import NoRoom, StoreFailed
from apprproxy.gateway.flights.slots import IN_MEMORY
from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.content import digest, manifest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.ranged import by_range, ranges_asked, stopping_at
from tests.fakes.raw import wire
from tests.fakes.registry import Registry
from tests.gateway.test_strangers import beginning
from tests.store.cap import Boundless

MIB = 1024 * 1024
SIZE = 12 * MIB
"""More than may be held in memory."""
BLOB = some_bytes(SIZE)
SMALL = some_bytes(4 * MIB, seed="small")
PATCH = 1000


def path_of(content: bytes = BLOB) -> str:
    return f"/v2/hub/library/app/blobs/{digest(content)}"


class Full(Boundless):
    """Has no room for anything, or none to keep what has come."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        self.relieved = 0

    def reserve(self, part: str, total: int, due: int | None = None) -> None:
        if self.at == "reserve":
            raise NoRoom("the cap is reached")

    def keep(self, *_: object) -> None:
        if self.at == "keep":
            raise NoRoom("the cap is reached")

    def relieve(self, written: int, *, files: bool) -> None:
        self.relieved += 1


def without_room(gateway: Running, at: str = "reserve") -> Full:
    full, disk = Full(at), gateway.app.disk
    disk._yard = replace(disk._yard, cap=full)
    return full


class Disk:
    """Takes bytes until it is told that it is full."""

    def __init__(self) -> None:
        self.full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """ENOSPC for whatever is written to a file by descriptor, as the ingests do."""
    disk, write = Disk(), os.write

    def limited(fd: int, piece: bytes) -> int:
        if not disk.full:
            return write(fd, piece)
        if len(piece) > PATCH:
            return write(fd, piece[:PATCH])  # as a real disk: a little is taken first
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", limited)
    return disk


@pytest.mark.parametrize("content", [b"tiny", SMALL, BLOB], ids=["tiny", "small", "large"])
async def test_a_process_without_a_descriptor_left_passes_on_what_is_right(
    content: bytes, registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    registry.add_blob("library/app", content)
    named = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    monkeypatch.setattr(os, "dup", none_left)
    blob = await gateway.get(path_of(content))
    tag = await gateway.get("/v2/hub/library/app/manifests/1.0")
    await gateway.at_rest()

    assert (200, content) == (blob.status, blob.body)
    assert (200, named) == (tag.status, tag.body)


@pytest.mark.parametrize("stream", ["owner", "any"])
@pytest.mark.parametrize("patience", ["0s", "1h"])
@pytest.mark.parametrize("content", [BLOB, SMALL], ids=["large", "small"])
async def test_what_cannot_be_kept_is_passed_through(
    registry: Registry, gateways: Gateways, content: bytes, patience: str, stream: str
) -> None:
    registry.add_blob("library/app", content)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": patience, "stream": stream})
    without_room(gateway)
    answers = await asyncio.gather(*(gateway.get(path_of(content)) for _ in range(3)))
    part = await gateway.get(path_of(content), Range="bytes=3000000-3000009")
    await gateway.at_rest()

    assert {(200, content)} == {(answer.status, answer.body) for answer in answers}
    assert (206, content[3_000_000:3_000_010]) == (part.status, part.body)
    assert ([], []) == (gateway.blobs, gateway.ingests)


@pytest.mark.parametrize("content", [BLOB, SMALL], ids=["large", "small"])
async def test_what_is_passed_through_wrong_is_never_completed(
    registry: Registry, gateways: Gateways, content: bytes
) -> None:
    registry.add_blob("library/app", content)
    registry.on["blob"] = lies.says(200, b"!" + content[1:])
    gateway = await gateways.start({"hub": registry})
    without_room(gateway)
    try:
        answer = await gateway.get(path_of(content))
        completed = answer.status == 200
    except aiohttp.ClientPayloadError:
        completed = False

    assert not completed
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub")
    assert ([], []) == (gateway.blobs, gateway.ingests)


async def test_never_refuses_cleanly_what_cannot_be_kept(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry}, delivery={"stream": "never"})
    without_room(gateway)
    answer = await gateway.get(path_of())

    assert 500 <= answer.status
    assert "cap is reached" in answer.message


async def test_never_breaks_off_cleanly_whoever_has_headers(
    logged: Logged, registry: Registry, gateways: Gateways, disk: Disk
) -> None:
    """There used to be a traceback in the log: nobody was left to ask."""
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = stopping_at((3 * MIB, gate))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s", "stream": "never"})
    async with gateway.session.get(gateway.url + path_of()) as response:
        disk.full = True
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    await until(lambda: gateway.metric("apprproxy_requests_total", status="broken-off") == 1)
    assert "crashed" not in logged.text
    assert "disk is full" in logged.text


@pytest.mark.parametrize(
    ("content", "field", "start"),
    [(BLOB, "bytes=0-", 0), (BLOB, "bytes=1000000-", 1_000_000), (SMALL, "bytes=0-", 0), (SMALL, "bytes=99-", 99)],
    ids=["large", "a part of a large one", "small", "a part of a small one"],
)
@pytest.mark.parametrize("stated", [True, False], ids=["a manifest states the size", "the owner alone does"])
async def test_a_client_that_has_begun_when_the_disk_gets_full_is_completed(
    registry: Registry, gateways: Gateways, disk: Disk, content: bytes, field: str, start: int, stated: bool
) -> None:
    registry.add_blob("library/app", content)
    known = registry.add_manifest("library/app", manifest(content))
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate)), by_range)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    if stated:
        await gateway.get(f"/v2/hub/library/app/manifests/{known}")
    async with gateway.session.get(gateway.url + path_of(content), headers={"Range": field}) as response:
        early = await response.content.readexactly(MIB)
        disk.full = True
        gate.open()
        rest = await response.read()
    await gateway.at_rest()

    assert content[start:] == early + rest
    assert [] == [path for path in gateway.blobs if path == digest(content)]
    assert [] == gateway.ingests


async def test_a_beginning_of_another_blob_is_not_completed_from_memory(
    registry: Registry, gateways: Gateways, disk: Disk
) -> None:
    """The owner lied at first; when the disk got full it was asked again and was honest."""
    registry.add_blob("library/app", SMALL)
    known = registry.add_manifest("library/app", manifest(SMALL))
    gate = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((3 * MIB, gate), body=b"!" + SMALL[1:]), by_range)
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    await gateway.get(f"/v2/hub/library/app/manifests/{known}")
    async with gateway.session.get(gateway.url + path_of(SMALL)) as response:
        await response.content.readexactly(MIB)
        disk.full = True
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_what_was_verified_and_cannot_be_kept_is_not_fetched_again(
    registry: Registry, gateways: Gateways
) -> None:
    """The disk fails at the very end, when clients have the bytes."""
    pushed = registry.push("library/app", "1", SMALL)
    gateway = await gateways.start({"hub": registry})
    without_room(gateway, "keep")
    answer = await gateway.get(f"/v2/hub/library/app/manifests/{digest(pushed)}")
    await gateway.at_rest()

    assert (200, pushed) == (answer.status, answer.body)
    assert 1 == registry.count("GET manifest")
    assert ([], []) == (gateway.blobs, gateway.ingests)


async def test_what_another_upstream_brought_and_cannot_be_kept_is_told_as_unkept(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """No name's record is to point at nothing."""
    gate = Gate()
    for one in (registry, other):
        pushed = one.push("library/app", "1", SMALL)
    other.on["GET manifest"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "far": other})
    without_room(gateway)
    first = asyncio.create_task(gateway.get(f"/v2/far/library/app/manifests/{digest(pushed)}"))
    await gate.reached()
    tag = asyncio.create_task(gateway.get("/v2/hub/library/app/manifests/1"))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    answers = await asyncio.gather(first, tag)

    assert [(200, pushed)] * 2 == [(got.status, got.body) for got in answers]
    assert [True, True] == ["unkept" in got.cache for got in answers]


async def test_names_and_manifests_survive_a_full_disk(registry: Registry, gateways: Gateways, disk: Disk) -> None:
    pushed = registry.push("library/app", "1", SMALL)
    gateway = await gateways.start({"hub": registry})
    disk.full = True
    without_room(gateway)
    by_tag = await gateway.get("/v2/hub/library/app/manifests/1")
    by_digest = await gateway.get(f"/v2/hub/library/app/manifests/{digest(pushed)}")
    tags = await gateway.get("/v2/hub/library/app/tags/list")
    layer = await gateway.get(path_of(SMALL))

    assert [(200, pushed)] * 2 == [(one.status, one.body) for one in (by_tag, by_digest)]
    assert (200, 200, SMALL) == (tags.status, layer.status, layer.body)
    assert ([], []) == (gateway.blobs, gateway.ingests)


async def test_a_names_database_that_fails_costs_no_answer(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = registry.push("library/app", "1", SMALL)
    gateway = await gateways.start({"hub": registry})

    async def fails(*_: object) -> None:
        raise StoreFailed("the names cannot be written")

    monkeypatch.setattr(type(gateway.app.names), "put", fails)
    by_tag = await gateway.get("/v2/hub/library/app/manifests/1")
    head = await gateway.head(path_of(SMALL))
    layer = await gateway.get(path_of(SMALL))

    assert (200, pushed) == (by_tag.status, by_tag.body)
    assert (200, 200) == (head.status, layer.status)


@pytest.mark.parametrize("gone", ["no file can be made", "no sidecar can be made"])
async def test_a_disk_that_fails_before_the_first_byte_costs_no_answer(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Nobody had told the size by then, and the pull was refused."""
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    full = without_room(gateway, "")
    make, replace_ = os.open, os.replace

    def no_file(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and str(path).endswith(".part"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return make(path, flags, mode)

    def no_sidecar(old: Path, new: Path) -> None:
        if str(new).endswith(".json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_(old, new)

    if gone == "no file can be made":
        monkeypatch.setattr(os, "open", no_file)
    else:
        monkeypatch.setattr(os, "replace", no_sidecar)
    answer = await gateway.get(path_of())
    missing = await gateway.get(f"/v2/hub/library/app/blobs/sha256:{'1' * 64}")
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert 404 == missing.status
    assert ([], []) == (gateway.blobs, gateway.ingests)
    assert full.relieved > 0


async def test_a_transfer_that_breaks_off_while_it_is_passed_through_is_broken_off(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = stopping_at((3 * MIB, None))
    gateway = await gateways.start({"hub": registry})
    without_room(gateway)
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.get(path_of())
    await gateway.at_rest()

    assert "bytes=0-" not in ranges_asked(registry.seen)
    assert "broke off after" in logged.text
    assert "Traceback" not in logged.text


async def test_nothing_is_said_to_be_stored_where_the_cache_directory_is_gone(
    registry: Registry, gateways: Gateways
) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    for folder in ("blobs", "ingest"):
        shutil.rmtree(gateway.cache / folder)
    blob, tag = await gateway.get(path_of(b"layer")), await gateway.get("/v2/hub/library/app/manifests/1.0")

    assert (200, b"layer") == (blob.status, blob.body)
    assert {"fwd=uri-miss; detail=unkept"} == {blob.cache, tag.cache}


async def test_once_there_is_room_it_is_kept(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    full = without_room(gateway)
    await gateway.get(path_of())
    await gateway.at_rest()
    full.at = ""
    answer = await gateway.get(path_of())
    await gateway.at_rest()

    assert (200, BLOB) == (answer.status, answer.body)
    assert [digest(BLOB)] == gateway.blobs


async def test_clients_that_read_slowly_what_cannot_be_kept_leave_room_for_others(
    registry: Registry, gateways: Gateways
) -> None:
    large = [some_bytes(24 * MIB, seed=f"large {number} ") for number in range(3)]
    small = some_bytes(100_000, seed="small ")
    for content in (*large, small):
        registry.add_blob("library/app", content)
    gateway = await gateways.start({"hub": oci(registry, connections=2)}, delivery={"patience": "0s"})
    without_room(gateway)
    async with AsyncExitStack() as stack:
        for content in large:
            client = await stack.enter_async_context(wire(gateway.url, limit=1024))
            await client.send(f"GET /v2/hub/library/app/blobs/{digest(content)} HTTP/1.1\r\nHost: gateway\r\n\r\n")
            await client.head()
        answer = await gateway.get(f"/v2/hub/library/app/blobs/{digest(small)}")

    assert (200, small) == (answer.status, answer.body)


async def test_a_mirror_that_lied_is_found_out_where_the_right_bytes_are_not_kept(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.add_blob("library/app", SMALL)
    other.on["GET blob"] = beginning(bytes(MIB), rest=lies.hangs_up)
    registry.on["GET blob"] = by_range
    gateway = await gateways.start({"hub": oci(registry, mirrors=[{"url": other.url}])})
    without_room(gateway, "keep")
    got = await gateway.get(path_of(SMALL))
    await gateway.at_rest()

    assert (200, SMALL) == (got.status, got.body)
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub", source="mirror-1")


async def test_a_full_disk_is_told_with_the_member_whose_bytes_it_did_not_take(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    without_room(gateway)
    got = await gateway.get(path_of().replace("hub", "both"))
    await gateway.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    assert 1 == gateway.metric("apprproxy_troubles_total", what="keep", upstream="hub")


async def never_ends(request: web.BaseRequest, _: lies.Honest) -> web.StreamResponse:
    """What may be held in memory, but for its last byte."""
    response = web.StreamResponse()
    response.content_length = len(SMALL)
    await response.prepare(request)
    await response.write(SMALL[:-1])
    await Gate()()
    return response


@pytest.mark.parametrize("name", ["hub", "both"])
@pytest.mark.parametrize("what", ["manifest", "blob"])
async def test_no_upstream_keeps_the_places_in_memory_from_another(
    what: str, name: str, registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pace", "guest"):
        monkeypatch.setattr(f"apprproxy.gateway.flights.{module}.LOOK", 0.2)
    named = registry.push("library/app", "1.0", b"layer")
    path, wanted = (
        (f"manifests/{digest(named)}", named) if what == "manifest" else (f"blobs/{digest(b'layer')}", b"layer")
    )
    other.on["GET blob"] = never_ends
    gateway = await gateways.start({"hub": registry, "evil": other}, views={"both": ["evil", "hub"]})
    without_room(gateway)
    own = [asyncio.create_task(gateway.get(f"/v2/evil/a/b/blobs/{digest(b'%d' % n)}")) for n in range(IN_MEMORY)]
    await until(lambda: other.count("GET blob") == 2 * IN_MEMORY)
    other.on["GET manifest"] = never_ends
    async with asyncio.timeout(PATIENCE):
        got = await gateway.get(f"/v2/{name}/library/app/{path}")
    for task in own:
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)

    assert (200, wanted) == (got.status, got.body)


@pytest.mark.usefixtures("uncollected")
async def test_what_the_full_disk_ended_gives_its_room_back_at_once(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    write = os.write

    def fills_up(fd: int, piece: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".part") and os.fstat(fd).st_size > len(BLOB) // 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, piece)

    monkeypatch.setattr(os, "write", fills_up)
    got = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    await gateway.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    assert [] == gateway.open_files


@pytest.mark.usefixtures("uncollected")
async def test_what_landed_and_is_not_kept_gives_its_room_back_at_once(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    without_room(gateway, "keep")
    got = await gateway.get(path_of())
    await gateway.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    await until(lambda: not gateway.open_files)


@pytest.mark.usefixtures("uncollected")
async def test_what_another_member_sent_where_the_disk_was_full_gives_its_room_back_at_once(
    registry: Registry, other: Registry, gateways: Gateways, disk: Disk
) -> None:
    gate = Gate()
    for one in (registry, other):
        one.add_blob("library/app", BLOB)
    registry.on["GET blob"] = stopping_at((SIZE // 2, gate))
    gateway = await gateways.start({"hub": registry, "far": other}, views={"all": ["hub", "far"]})
    pull = asyncio.create_task(gateway.get(path_of().replace("/hub/", "/all/")))
    await gate.reached()
    disk.full = True
    gate.open()
    await until(lambda: other.count("GET blob") > 0)
    disk.full = False
    got = await pull
    await gateway.at_rest()

    assert (200, BLOB) == (got.status, got.body)
    await until(lambda: not gateway.open_files)


OLD = f"GET {path_of()} HTTP/1.0\r\n\r\n"


async def test_an_old_client_is_passed_what_cannot_be_kept(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    without_room(gateway)
    async with wire(gateway.url) as client:
        await client.send(OLD)
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.0 200")
    assert b"Content-Length: %d\r\n" % SIZE in head
    assert BLOB == body


@pytest.mark.parametrize(
    "how", [lies.says(200, BLOB[:-1] + b"!"), stopping_at(*[(SIZE // 2, None)] * 9)], ids=["wrong", "broken off"]
)
async def test_an_old_client_can_tell_that_what_it_was_passed_is_not_the_whole(
    how: Behaviour, registry: Registry, gateways: Gateways
) -> None:
    """It may look at the end of its connection alone."""
    registry.add_blob("library/app", BLOB)
    registry.on["GET blob"] = how
    gateway = await gateways.start({"hub": registry})
    without_room(gateway)
    async with wire(gateway.url) as client:
        await client.send(OLD)
        head = await client.head()
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(SIZE)

    assert f"Content-Length: {SIZE}\r\n" in head
