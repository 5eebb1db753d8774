"""What the genuine server answered is what a client gets through the gateway: cold, warm, and with the server gone.

A read is left out, or differs in part, only where it stands in a list here with its reason.
"""

import json
from collections import Counter
from typing import Any

import pytest

from tests.appregistry.archives import unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import Got
from tests.appregistry.recordings import ALTERED, Exchange, exchanges, named_archives, state_before
from tests.appregistry.registry import Registry, as_json
from tests.appregistry.upstream import Upstream, running

NO_END_POINT = "the gateway has no such page: discovery is dead in practice, the others are the server's own"

LEFT: dict[int, str] = {
    47: NO_END_POINT,
    48: NO_END_POINT,
    49: "the gateway's own page stands at /",
    51: NO_END_POINT,
    52: NO_END_POINT,
    130: "the package was not recorded whole, neither when it was pushed nor when it was pulled",
    169: "the gateway's own page stands at /",
}
"""Reads that are not replayed."""

OTHERWISE: dict[int, tuple[int, str]] = {
    50: (200, "the form without /cnr is served too: some clients use it"),
    55: (400, "a path with an encoded slash can be read in two ways and is refused; the server has an HTML 404"),
    59: (200, "the server crashes on a bad regular expression; the gateway never runs one"),
    80: (400, "a malformed digest is malformed"),
    124: (502, "the server passed altered bytes on under the old digest"),
    125: (502, "the server passed altered bytes on under the old digest"),
    172: (404, "the gateway's 404 is JSON where the server's is HTML"),
    173: (404, "the gateway's 404 is JSON where the server's is HTML"),
    175: (400, "an empty path segment is refused"),
}
"""Reads that the gateway answers otherwise than the server, on purpose."""

UNORDERED = "the order of packages and of manifests is the order of the server's storage, and means nothing"
CUT = "the recording was cut off inside this field"
METADATA = {exchange.number: CUT for exchange in exchanges() if exchange.cut == "metadata"}
"""Answers that are compared but for ``metadata``."""

READS = [exchange for exchange in exchanges() if exchange.reads]
REPLAYED = [one for one in READS if one.number not in {**LEFT, **OTHERWISE}]


def named(exchange: Exchange) -> str:
    return f"{exchange.number} {exchange.method} {exchange.path[-60:]}"


def sorted_array(document: Any) -> Any:
    """An array in an order of its own (UNORDERED)."""
    if isinstance(document, list):
        return sorted(document, key=lambda one: json.dumps(one, sort_keys=True))
    return document


def comparable(exchange: Exchange, body: bytes) -> Any:
    document = named_archives(json.loads(body))
    if exchange.number in METADATA:
        for manifest in document if isinstance(document, list) else [document]:
            manifest.pop("metadata")
    return sorted_array(document)


@pytest.mark.parametrize("exchange", [one for one in READS if one.number not in LEFT], ids=named)
def test_the_stand_in_for_the_genuine_server_answers_as_it_did(exchange: Exchange) -> None:
    answer = state_before(exchange.number).answer(exchange.method, exchange.path)

    assert exchange.status == answer.status
    if exchange.status != 404:
        assert exchange.content_type == answer.content_type
    if exchange.json is not None:
        assert sorted_array(exchange.json) == comparable(exchange, answer.body)
    if exchange.binary is not None:
        assert exchange.binary["size"] == len(answer.body)
        assert answer.body.hex().startswith(exchange.binary["starts"])


def assert_alike(exchange: Exchange, got: Got, registry: Registry) -> None:
    assert exchange.status == got.status
    assert exchange.content_type == got.headers["Content-Type"]
    assert exchange.disposition == got.headers.get("Content-Disposition")
    assert "Content-Encoding" not in got.headers
    if exchange.binary is not None:
        assert str(exchange.binary["size"]) == got.headers["Content-Length"]
        assert got.body.hex().startswith(exchange.binary["starts"] if exchange.method == "GET" else "")
    if exchange.binary is not None and exchange.method == "GET":
        assert unpacked(registry.answer("GET", exchange.path).body) == unpacked(got.body)
    if exchange.json is not None:
        assert sorted_array(exchange.json) == comparable(exchange, got.body)


@pytest.mark.parametrize("exchange", REPLAYED, ids=named)
async def test_a_recorded_read_is_answered_alike_cold_warm_and_with_the_server_gone(
    exchange: Exchange, start: Start
) -> None:
    registry = state_before(exchange.number)
    async with running(registry) as upstream:
        gateway = await start({"genuine": upstream})
        cold = await gateway.get(exchange.path, exchange.method)
        asked = upstream.count()
        warm = await gateway.get(exchange.path, exchange.method)
        asked_again = upstream.count()
        await upstream.stop()
        gateway.clock.advance(5.0 if exchange.status >= 400 else 3600.0)
        gone = await gateway.get(exchange.path, exchange.method)

    assert asked == asked_again
    for got in (cold, warm, gone):
        assert_alike(exchange, got, registry)


@pytest.mark.parametrize("number", OTHERWISE)
async def test_a_read_that_is_answered_otherwise_has_this_status(number: int, start: Start) -> None:
    exchange = exchanges()[number - 1]
    async with running(state_before(number)) as upstream:
        gateway = await start({"genuine": upstream})
        got = await gateway.get(exchange.path)

    assert OTHERWISE[number][0] == got.status
    assert got.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("number", ALTERED)
async def test_bytes_that_somebody_altered_on_the_servers_disk_are_counted_and_never_kept(
    number: int, start: Start
) -> None:
    exchange = exchanges()[number - 1]
    async with running(state_before(number)) as upstream:
        gateway = await start({"genuine": upstream})
        await gateway.get(exchange.path)

        assert gateway.total("apprproxy_digest_mismatches_total", upstream="genuine") == 1
        assert gateway.held() == []


@pytest.mark.parametrize(
    "exchange", [one for one in exchanges() if one.method in ("POST", "PUT", "DELETE") and one.status != 404], ids=named
)
async def test_a_recorded_write_reaches_nobody_where_writes_are_refused(
    exchange: Exchange, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"genuine": upstream})
    got = await gateway.get(exchange.path, exchange.method)

    assert 405 == got.status
    assert "GET, HEAD" == got.headers["Allow"]
    assert upstream.count() == 0


WRITES = [one for one in exchanges() if one.method in ("POST", "DELETE") and one.json is not None]


@pytest.mark.parametrize("exchange", [one for one in WRITES if "/packages/up/" not in one.path], ids=named)
async def test_a_recorded_write_is_answered_alike_where_writes_pass(
    exchange: Exchange, start: Start, upstream: Upstream
) -> None:
    upstream.twist = lambda _: as_json(exchange.json, exchange.status)
    gateway = await start({"up": upstream}, writes="pass")
    body = json.dumps(exchange.sent).encode() if exchange.sent else b""
    got = await gateway.get(exchange.path, exchange.method, headers={"Authorization": "basic Ym9i"}, body=body)

    assert (exchange.status, exchange.json) == (got.status, got.json)
    assert [exchange.path] == upstream.asked
    assert [body] == upstream.bodies
    assert ["basic Ym9i"] == [headers.get("Authorization") for headers in upstream.headers]


async def test_a_push_to_what_the_client_misread_as_a_namespace_is_refused_with_the_alias_to_use(
    start: Start, upstream: Upstream
) -> None:
    exchange = exchanges()[173]
    gateway = await start({"up": upstream}, writes="pass")
    got = await gateway.get(exchange.path, exchange.method, body=b"{}")

    assert 400 == got.status
    assert "appr config alias" in got.json["message"]
    assert [] == upstream.asked


FIRST_BYTES = "the gzip file that was first seen around a tar is kept; the server replaced it when 0.3.0 and 0.3.1 came"
MOVED = "1.0.1 was pushed again with other content; its first digest stands"
WITH_A_PAST: dict[int, str] = {
    118: FIRST_BYTES,
    134: FIRST_BYTES,
    157: MOVED,
    158: FIRST_BYTES,
    161: FIRST_BYTES,
    168: FIRST_BYTES,
    178: FIRST_BYTES,
}
"""Reads that a cache with a past answers otherwise than an empty one."""


async def test_one_gateway_that_lives_through_the_whole_history_answers_every_read(start: Start) -> None:
    """Every state of the server in front of one cache, each a day after the last."""
    otherwise = set()
    async with running() as upstream:
        gateway = await start({"genuine": upstream})
        for exchange in REPLAYED:
            upstream.registry = state_before(exchange.number)
            gateway.clock.advance(86_400.0)
            got = await gateway.get(exchange.path, exchange.method)
            try:
                assert_alike(exchange, got, upstream.registry)
            except AssertionError:
                otherwise.add(exchange.number)

    assert set(WITH_A_PAST) == otherwise


def test_every_recorded_exchange_is_accounted_for() -> None:
    kinds = Counter(
        "replayed" if one in REPLAYED
        else "otherwise" if one.number in OTHERWISE
        else "left" if one.number in LEFT
        else "no read"
        for one in exchanges()
    )  # fmt: skip

    assert {"replayed": 118, "otherwise": 9, "left": 7, "no read": 44} == kinds
