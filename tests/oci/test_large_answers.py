"""Many who ask for large answers, and take their time, do not fill the memory."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack

import pytest

from apprproxy.core import reading
from apprproxy.core.model import MIB
from apprproxy.face import large
from apprproxy.oci import tag_lists
from apprproxy.oci.paging import MOST, TagList, tag_list
from tests.fakes import lies
from tests.fakes.clock import until
from tests.fakes.content import INDEX, digest
from tests.fakes.gateway import Gateways, Running
from tests.fakes.raw import Wire, wire
from tests.fakes.registry import Registry

TAGS = [f"v{number:06d}" for number in range(2500)]
NAMES = [f"team/{'long-' * 20}{number:06d}" for number in range(20_000)]
SUBJECT = digest(b"subject")
OTHER = {"mediaType": "a/b", "digest": SUBJECT, "size": 7}


def with_lists(registry: Registry) -> None:
    registry.push("library/app", "1.0", b"layer")
    tags = json.dumps({"name": "library/app", "tags": TAGS, "more": 1}).encode()
    registry.on["tags"] = lies.says(200, tags, Content_Type="application/json")
    names = json.dumps({"repositories": NAMES}).encode()
    registry.on["catalog"] = lies.says(200, names, Content_Type="application/json")


@pytest.mark.parametrize(
    ("path", "field", "every"), [("library/app/tags/list", "tags", TAGS), ("_catalog", "repositories", NAMES)]
)
async def test_no_page_has_more_than_a_thousand_names_whatever_is_asked(
    path: str, field: str, every: list[str], registry: Registry, gateways: Gateways
) -> None:
    with_lists(registry)
    gateway = await gateways.start({"hub": registry})
    following, pages = f"/v2/hub/{path}?n=100000", 0
    found: list[str] = []
    while following:
        got = await gateway.get(following)
        page = json.loads(got.body)[field]
        found, pages = found + page, pages + 1
        following = got.headers.get("Link", "").partition(">")[0].removeprefix("<")

        assert len(page) <= MOST
    assert every == found
    assert len(every) // MOST <= pages <= len(every) // MOST + 1


async def test_whoever_asks_for_no_page_is_given_all(registry: Registry, gateways: Gateways) -> None:
    with_lists(registry)
    gateway = await gateways.start({"hub": registry})
    tags, names = await gateway.get("/v2/hub/library/app/tags/list"), await gateway.get("/v2/hub/_catalog")

    assert (TAGS, NAMES) == (json.loads(tags.body)["tags"], json.loads(names.body)["repositories"])
    assert "Link" not in {**tags.headers, **names.headers}


async def test_a_small_page_waits_for_nothing_that_is_taken_apart(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_lists(registry)
    begun, going_on = threading.Event(), threading.Event()

    def slowly(document: bytes) -> TagList:
        begun.set()
        going_on.wait(30)
        return tag_list(document)

    monkeypatch.setattr(tag_lists, "tag_list", slowly)
    monkeypatch.setattr(reading, "LARGE", 0)
    gateway = await gateways.start({"hub": registry})
    assert 200 == (await gateway.get("/v2/hub/_catalog?n=1")).status
    other = asyncio.create_task(gateway.get("/v2/hub/library/app/tags/list?n=1"))
    await until(begun.is_set)
    page = await gateway.get("/v2/hub/_catalog?n=2")
    going_on.set()

    assert NAMES[:2] == json.loads(page.body)["repositories"]
    assert TAGS[:1] == json.loads((await other).body)["tags"]


async def ask_slowly(gateway: Running, stack: AsyncExitStack, path: str) -> Wire:
    client = await stack.enter_async_context(wire(gateway.url, limit=1000, window=4096))
    await client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


async def test_slow_clients_of_a_whole_catalog_share_it(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "BUDGET", 4 * MIB)
    with_lists(registry)
    gateway = await gateways.start({"hub": registry})
    async with AsyncExitStack() as stack:
        clients = [await ask_slowly(gateway, stack, "/v2/hub/_catalog") for _ in range(30)]
        heads = [await client.head() for client in clients]

    assert all(" 200 OK" in head for head in heads)


async def test_slow_clients_of_many_filters_get_as_many_answers_as_there_is_room_for(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "BUDGET", 15 * MIB)
    monkeypatch.setattr(large, "PATIENCE", 0.2)
    kinds = [f"application/x{number}" for number in range(5)]
    note = "x" * 6 * MIB  # more than a system takes for a client that does not
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [OTHER], "note": note}).encode()
    registry.on["referrers"] = lies.says(200, index, Content_Type=INDEX)
    gateway = await gateways.start({"hub": registry})
    path = f"/v2/hub/library/app/referrers/{SUBJECT}?artifactType="
    async with AsyncExitStack() as stack:
        clients = [await ask_slowly(gateway, stack, path + kind) for kind in kinds]
        heads = await asyncio.gather(*(client.head() for client in clients))
    refused = [head for head in heads if " 503 " in head]

    assert 0 < len(refused) < len(kinds)
    assert all("Retry-After: 1\r\n" in head for head in refused)
    assert 200 == (await gateway.get(path + kinds[1])).status
