"""Wrong bytes never become a blob, whatever is wrong with them; and honest ones are taken afterwards."""

import asyncio
import json
import threading

import pytest

from apprproxy.core.errors import UpstreamFault
from apprproxy.core.ports.upstream import Reply
from apprproxy.oci.dialect import OciDialect
from tests.fakes import lies
from tests.fakes.clock import Gate
from tests.fakes.content import digest, manifest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.raw import answering
from tests.fakes.registry import Registry

BLOB = some_bytes(300_000)
OTHER = some_bytes(300_000, seed="other")
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"

MISMATCHES: dict[str, Behaviour] = {
    "an HTML page": lies.page(200),
    "other bytes": lies.says(200, OTHER),
    "a beginning": lies.says(200, BLOB[:-1]),
    "a beginning, of no announced length": lies.chunked(BLOB[:-1]),
    "the bytes and more": lies.chunked(BLOB + b"!"),
    "nothing": lies.says(200),
}
OUTAGES: dict[str, Behaviour] = {
    "broken off": lies.cut_off(200_000),
    "broken off at once": lies.cut_off(0),
    "hanging up": lies.hangs_up,
    "a coded body": lies.zipped,
    "204": lies.says(204),
    "206": lies.says(206, BLOB[:10], Content_Range="bytes 0-9/300000"),
    "500": lies.says(500),
}


@pytest.mark.parametrize(("values", "beside"), [(3, False), (20_000, True)])
async def test_a_no_that_takes_time_to_read_is_read_beside_everything_else(
    values: int, beside: bool, registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    genuine = OciDialect.judge

    def judge(dialect: OciDialect, reply: Reply) -> UpstreamFault | None:
        threads.append(threading.get_ident())
        return genuine(dialect, reply)

    padded = {"errors": [{"code": "BLOB_UNKNOWN", "message": "", "detail": [[]] * values}]}
    registry.on["GET blob"] = lies.says(404, json.dumps(padded, separators=(",", ":")).encode())
    monkeypatch.setattr(OciDialect, "judge", judge)
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(PATH)

    assert (404, "BLOB_UNKNOWN") == (got.status, got.code)
    assert [beside] == [thread != threading.get_ident() for thread in threads]


def mismatches(gateway: Running) -> float:
    return gateway.metric("apprproxy_digest_mismatches_total", upstream="hub", source="owner")


MISSING_FOR = 10.0
"""The default: a lie is remembered that long."""


async def refused(registry: Registry, gateways: Gateways, lie: Behaviour) -> Running:
    """A gateway that has just refused the lie, and takes what is honest afterwards."""
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = lie
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(PATH)
    assert (failed.status, failed.code) == (502, "UNAVAILABLE")
    assert failed.headers["Content-Type"] == "application/json"
    assert failed.message.startswith("hub: ")
    await gateway.at_rest()
    assert (gateway.blobs, gateway.ingests) == ([], [])
    registry.on.clear()
    gateways.clock.advance(MISSING_FOR)
    honest = await gateway.get(PATH)
    assert (honest.status, honest.body) == (200, BLOB)
    return gateway


@pytest.mark.parametrize("lie", MISMATCHES.values(), ids=MISMATCHES)
async def test_bytes_of_another_digest_are_refused_and_counted(
    registry: Registry, gateways: Gateways, lie: Behaviour
) -> None:
    gateway = await refused(registry, gateways, lie)

    assert 1 == mismatches(gateway)


@pytest.mark.parametrize("failure", OUTAGES.values(), ids=OUTAGES)
async def test_an_answer_that_is_no_blob_is_refused(registry: Registry, gateways: Gateways, failure: Behaviour) -> None:
    gateway = await refused(registry, gateways, failure)

    assert 0 == mismatches(gateway)


async def test_a_stalled_body_is_given_up(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = lies.headers_then(Gate())
    gateway = await gateways.start({"hub": oci(registry, timeouts={"read": "100ms"})})
    failed = await gateway.get(PATH)

    assert (504, "UNAVAILABLE") == (failed.status, failed.code)
    assert "stalled after 0 bytes" in failed.message
    assert ([], []) == (gateway.blobs, gateway.ingests)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 299999\r\n\r\n" + BLOB,
        b"HTTP/1.1 200 OK\r\nContent-Length: 300001\r\n\r\n" + BLOB,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BLOB,
        b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nContent-Length: 10\r\n\r\n" + BLOB,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + BLOB,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + BLOB,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"",
    ],
    ids=["too short", "too long", "negative", "two lengths", "bad chunk", "no last chunk", "not HTTP", "empty"],
)
async def test_a_wrong_frame_around_the_right_bytes_is_refused(gateways: Gateways, answer: bytes) -> None:
    async with answering(answer) as url:
        gateway = await gateways.start({"hub": {"url": url}})
        failed = await gateway.get(PATH)
        await gateway.at_rest()

        assert (502, "UNAVAILABLE") == (failed.status, failed.code)
        assert [] == gateway.blobs


async def test_a_body_that_ends_with_the_connection_is_verified(gateways: Gateways) -> None:
    async with answering(b"HTTP/1.0 200 OK\r\n\r\n" + BLOB) as url:
        gateway = await gateways.start({"hub": {"url": url}})

        assert (200, BLOB) == ((answer := await gateway.get(PATH)).status, answer.body)


@pytest.mark.parametrize("lie", [lies.endless(), lies.says(200, BLOB + BLOB)], ids=["endless", "announced"])
async def test_more_than_max_blob_is_not_taken(registry: Registry, gateways: Gateways, lie: Behaviour) -> None:
    registry.on["blob"] = lie
    gateway = await gateways.start({"hub": registry}, delivery={"max_blob": "512KiB"})
    failed = await gateway.get(PATH)
    await gateway.at_rest()

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "more than the 524288" in failed.message
    assert ([], []) == (gateway.blobs, gateway.ingests)


async def test_a_stopped_gateway_leaves_no_file_that_nothing_has_come_of(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    gate = Gate()
    registry.on["blob"] = lies.headers_then(gate)
    gateway = await gateways.start({"hub": registry})
    asking = asyncio.create_task(gateway.get(PATH))
    await gate.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    under_way = gateway.ingests
    await gateway.close()

    assert under_way
    assert ([], []) == (gateway.blobs, gateway.ingests)


@pytest.mark.parametrize("lie", [lies.says(200, b"wrong"), lies.says(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')])
async def test_what_a_source_could_not_give_is_not_asked_again_for_a_while(
    registry: Registry, gateways: Gateways, lie: Behaviour
) -> None:
    registry.add_blob("library/app", BLOB)
    registry.on["blob"] = lie
    gateway = await gateways.start({"hub": registry})
    answers = [await gateway.get(PATH) for _ in range(3)]
    asked = registry.count("GET blob")
    gateways.clock.advance(MISSING_FOR)
    await gateway.get(PATH)

    assert 1 == len({(answer.status, answer.message) for answer in answers})
    assert (1, 2) == (asked, registry.count("GET blob"))


async def test_a_manifest_that_is_missing_does_not_hide_the_blob_of_its_digest(
    registry: Registry, gateways: Gateways
) -> None:
    digest = registry.add_blob("library/app", BLOB)
    gateway = await gateways.start({"hub": registry})
    manifest = await gateway.get(f"/v2/hub/library/app/manifests/{digest}")
    blob = await gateway.get(PATH)

    assert (404, 200) == (manifest.status, blob.status)
    assert BLOB == blob.body


async def test_a_manifest_that_states_no_bytes_for_a_blob_that_has_some_ends_in_a_failure(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", BLOB)
    wrong = manifest(BLOB).replace(b'"size": 300000', b'"size": 0')
    registry.add_manifest("library/app", wrong, tag="1.0")
    gateway = await gateways.start({"hub": registry})
    named = await gateway.get("/v2/hub/library/app/manifests/1.0")
    failed = await gateway.get(PATH)
    await gateway.at_rest()

    assert wrong == named.body
    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "announced 300000 bytes where 0 are due" in failed.message


async def test_an_owner_that_fails_whenever_it_is_asked_for_bytes_is_told_of(
    registry: Registry, gateways: Gateways, logged: Logged
) -> None:
    layer = b"layer"
    registry.push("library/app", "1.0", layer)
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    registry.on["blob"] = lies.page(403)
    failed = await gateway.get(f"/v2/hub/library/app/blobs/{digest(layer)}")
    (line,) = [one for one in map(json.loads, logged.text.splitlines()) if one["event"] == "upstream trouble"]

    assert 502 == failed.status
    assert (f"library/app@{digest(layer)}", "bytes") == (line["name"], line["what"])
    assert "answered 403" in line["reason"]
    assert 1 == gateway.metric("apprproxy_troubles_total", what="bytes")


async def test_what_an_owner_does_not_have_is_no_trouble(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    missing = await gateway.get(PATH)

    assert 404 == missing.status
    assert 0 == gateway.metric("apprproxy_troubles_total", what="bytes")


async def test_that_all_our_connections_are_in_use_is_no_failure_of_the_owner(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, connections=1)})
    monkeypatch.setattr(gateway.app.members["hub"].upstream, "_patience", 0.05)
    registry.on["tags"] = lies.waiting_for(gate := Gate())
    asking = asyncio.create_task(gateway.get("/v2/hub/library/app/tags/list"))
    await gate.reached()
    refused = await gateway.get(f"/v2/hub/library/app/manifests/{digest(body)}")
    gate.open()
    await asking

    assert 500 < refused.status
    assert (0, 1) == tuple(gateway.metric("apprproxy_troubles_total", what=what) for what in ("bytes", "busy"))
    assert 1 == gateway.metric("apprproxy_upstream_available")
