"""What a client, a broken disk or a mirror must not be able to do to everybody else."""

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.lock import written
from apprproxy.core.model import MIB
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lock import Password
from tests.fakes.ranged import by_range, stopping_at
from tests.fakes.registry import Registry
from tests.fakes.tree import tree

LARGE = some_bytes(40 * MIB)
SECRET = some_bytes(300_000, seed="secret")


def blob(content: bytes, repository: str = "library/app") -> str:
    return f"/v2/hub/{repository}/blobs/{digest(content)}"


async def test_clients_that_leave_before_a_part_begins_do_not_shut_the_owner(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LARGE)
    registry.push("library/app", "1.0", b"layer")
    fill, part = Gate(), Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, fill)), lies.waiting_for(part, by_range))
    gateway = await gateways.start({"hub": registry}, delivery={"patience": "0s"})
    filling = asyncio.create_task(gateway.get(blob(LARGE)))
    await fill.reached()
    for number in range(1, 5):
        asking = asyncio.create_task(gateway.get(blob(LARGE), Range=f"bytes={30 * MIB}-{30 * MIB + 9}"))
        await part.reached(number)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        left = number
        await until(lambda: gateway.metric("apprproxy_requests_total", status="client-left") >= left)  # noqa: B023
    tag = await gateway.get("/v2/hub/library/app/manifests/1.0")
    fill.open()
    part.open()
    filling.cancel()
    await asyncio.gather(filling, return_exceptions=True)

    assert 200 == tag.status


async def test_slow_readers_of_parts_do_not_keep_the_owner_from_everybody(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", LARGE)
    registry.add_blob("library/app", SECRET)
    fill = Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, fill)), by_range)
    gateway = await gateways.start({"hub": oci(registry, connections=10)}, delivery={"patience": "0s"})
    filling = asyncio.create_task(gateway.get(blob(LARGE)))
    await fill.reached()
    slow = []
    for _ in range(10):
        part = f"bytes={30 * MIB}-{38 * MIB - 1}"
        response = await gateway.session.get(gateway.url + blob(LARGE), headers={"Range": part})
        slow.append(response)
    try:
        async with asyncio.timeout(3):
            answer = await gateway.get(blob(SECRET))
    finally:
        for response in slow:
            response.close()
        filling.cancel()
        fill.open()
        await asyncio.gather(filling, return_exceptions=True)

    assert 200 == answer.status


async def test_one_image_in_two_locked_repositories_is_served_in_both(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    content = registry.push("dev/app", "1.0", b"layer")
    registry.push("prod/app", "1.0", b"layer")
    path = tmp_path / "lock.json"
    path.write_text(written({"dev/app:1.0": Digest.of(content), "prod/app:1.0": Digest.of(content)}))
    gateway = await gateways.start({"hub": oci(registry, names="locked", lock_file=str(path))})
    dev, prod = [await gateway.get(f"/v2/hub/{name}/manifests/1.0") for name in ("dev/app", "prod/app")]
    by_digest = await gateway.get(f"/v2/hub/prod/app/manifests/{digest(content)}")

    assert [(200, content)] * 3 == [(one.status, one.body) for one in (dev, prod, by_digest)]


@pytest.mark.parametrize("away", [False, True])
async def test_what_an_account_opens_is_not_opened_by_a_mirror_that_has_everything(
    registry: Registry, gateways: Gateways, tmp_path: Path, away: bool
) -> None:
    """Files behind a web server know no repositories: whoever knows a digest would see it through any name."""
    registry.lock = Password()
    registry.add_blob("private/app", SECRET)
    pushed = registry.push("private/app", "1.0", SECRET)
    layout = tmp_path / "tree" / "blobs" / "sha256"
    layout.mkdir(parents=True)
    for content in (SECRET, pushed):
        (layout / Digest.of(content).hex).write_bytes(content)
    async with tree(tmp_path / "tree", []) as url:
        keys = {"mirrors": [{"url": url, "kind": "static"}], "auth": {"username": "bot", "password": "s3cret"}}
        gateway = await gateways.start({"hub": oci(registry, **keys)})
        if away:
            await registry.stop()
        stranger = await gateway.get(blob(SECRET, "evil/app"))
        manifest = await gateway.get(f"/v2/hub/evil/app/manifests/{digest(pushed)}")

    expected = {502, 503} if away else {404}

    assert expected >= {stranger.status, manifest.status}


# --- the disk


class Broken:
    """What is written to the names fails, as on a full disk."""

    def __init__(self, gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        records = gateway.app.names._records

        def full(*_: object, **__: object) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(records, "set", full)
        monkeypatch.setattr(records, "delete", full)


@pytest.mark.parametrize("place", ["hub", "both"])
async def test_a_tag_that_was_never_seen_is_served_where_the_names_take_nothing(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    Broken(gateway, monkeypatch)
    answer = await gateway.get(f"/v2/{place}/library/app/manifests/1.0")
    missing = await gateway.get(f"/v2/{place}/library/app/manifests/2.0")

    assert (200, content) == (answer.status, answer.body)
    assert 404 == missing.status


async def test_an_index_that_cannot_be_read_breaks_no_pull(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", LARGE[:MIB], SECRET)
    gateway = await gateways.start({"hub": registry})
    warm = await gateway.get(blob(SECRET))
    await gateway.at_rest()
    gateway.app.ledger.database._reader.close()
    gateway.app.index._allowed.clear()
    with pytest.raises(StoreFailed):
        gateway.app.ledger.totals()
    again, tag, cold = (
        await gateway.get(blob(SECRET)),
        await gateway.get("/v2/hub/library/app/manifests/1.0"),
        await gateway.get(blob(LARGE[:MIB])),
    )

    assert 200 == warm.status
    assert [(200, SECRET), (200, content), (200, LARGE[:MIB])] == [(one.status, one.body) for one in (again, tag, cold)]


def announcing(size: int, begin: bytes) -> lies.Behaviour:
    """So long a body; then the connection goes."""

    async def answer(request: web.BaseRequest, honest: lies.Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = size
        await response.prepare(request)
        await response.write(begin)
        return await lies.cut_off(0)(request, honest)

    return answer


async def test_a_length_that_is_only_announced_evicts_nothing(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    held = [some_bytes(5 * MIB, seed=str(number)) for number in range(10)]
    for content in held:
        registry.add_blob("library/app", content)
    other.on["blob"] = announcing(64 * MIB, b"x" * 200_000)
    gateway = await gateways.start({"hub": registry, "far": other}, max_size="64MiB")
    for content in held:
        await gateway.get(f"/v2/hub/library/app/blobs/{digest(content)}")
    await gateway.at_rest()
    got = await gateway.get(f"/v2/far/library/app/blobs/{digest(b'never')}")
    await gateway.at_rest()

    assert 502 == got.status
    assert 10 == len(gateway.blobs)
