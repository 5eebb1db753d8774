"""Any part of a blob can be asked for while nothing of it is held, and costs no transfer of its own."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.ranged import by_range, ranges_asked, stopping_at
from tests.fakes.registry import Registry

MIB = 1024 * 1024
SMALL = some_bytes(2 * MIB)
SIZE = 20 * MIB
LARGE = some_bytes(SIZE, seed="large")
FAR = 18 * MIB
AT_ONCE = {"patience": "0s"}


def path_of(content: bytes, repository: str = "library/app") -> str:
    return f"/v2/hub/{repository}/blobs/{digest(content)}"


PARTS = {
    "single": ("bytes=10-19", slice(10, 20)),
    "first byte": ("bytes=0-0", slice(0, 1)),
    "open": ("bytes=1000000-", slice(1_000_000, None)),
    "suffix": ("bytes=-10", slice(-10, None)),
    "longer than it is": ("bytes=2000000-99999999", slice(2_000_000, None)),
    "suffix of all": ("bytes=-99999999", slice(None)),
    "the withheld end": (f"bytes={2 * MIB - 65536}-", slice(2 * MIB - 65536, None)),
}


@pytest.mark.parametrize("patience", ["0s", "1h"])
@pytest.mark.parametrize(("field", "part"), PARTS.values(), ids=PARTS)
async def test_a_part_of_what_is_cold(
    registry: Registry, gateways: Gateways, field: str, part: slice, patience: str
) -> None:
    registry.add_blob("library/app", SMALL)
    registry.on["blob"] = by_range
    gateway = await gateways.start({"hub": registry}, delivery={"patience": patience})
    answer = await gateway.get(path_of(SMALL), Range=field)
    await gateway.at_rest()

    start, stop, _ = part.indices(len(SMALL))
    assert (206, SMALL[part]) == (answer.status, answer.body)
    assert f"bytes {start}-{stop - 1}/{len(SMALL)}" == answer.headers["Content-Range"]
    assert [""] == ranges_asked(registry.seen)


@pytest.mark.parametrize("patience", ["0s", "1h"])
@pytest.mark.parametrize("field", ["bytes=2097152-", "bytes=99999999-100000000", "bytes=-0"])
async def test_a_part_beyond_the_end_is_refused_with_the_size(
    registry: Registry, gateways: Gateways, field: str, patience: str
) -> None:
    registry.add_blob("library/app", SMALL)
    registry.on["blob"] = by_range
    gateway = await gateways.start({"hub": registry}, delivery={"patience": patience})
    answer = await gateway.get(path_of(SMALL), Range=field)

    assert (416, b"") == (answer.status, answer.body)
    assert f"bytes */{len(SMALL)}" == answer.headers["Content-Range"]


@pytest.mark.parametrize("tag", [f'"{digest(SMALL)}"', '"another"', "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_if_range_asks_for_a_part_of_these_bytes_only(registry: Registry, gateways: Gateways, tag: str) -> None:
    registry.add_blob("library/app", SMALL)
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    answer = await gateway.get(path_of(SMALL), Range="bytes=0-9", If_Range=tag)
    same = digest(SMALL) in tag

    assert ((206, SMALL[:10]) if same else (200, SMALL)) == (answer.status, answer.body)


async def test_parallel_parts_that_close_early_cost_one_transfer(registry: Registry, gateways: Gateways) -> None:
    """containerd opens eight ranges without an end, and closes each when the next one's beginning is reached."""
    registry.add_blob("library/app", LARGE)
    registry.on["blob"] = by_range
    gateway = await gateways.start({"hub": registry}, delivery=AT_ONCE)
    step = SIZE // 8

    async def fetch(at: int) -> bytes:
        fields = {"Range": f"bytes={at}-"}
        async with gateway.session.get(gateway.url + path_of(LARGE), headers=fields) as response:
            piece = await response.content.readexactly(step)
            response.close()
            return piece

    pieces = await asyncio.gather(*(fetch(number * step) for number in range(8)))
    await gateway.at_rest()

    assert LARGE == b"".join(pieces)
    assert [""] == ranges_asked(registry.seen)
    assert SIZE == gateway.metric("apprproxy_upstream_bytes_total")


# --- far ahead


async def held_back(registry: Registry, gateways: Gateways, gate: Gate, **delivery: str) -> Running:
    """A gateway whose fill stands still after its first MiB."""
    registry.add_blob("library/app", LARGE)
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, gate)), by_range)
    gateway = await gateways.start({"hub": registry}, delivery={**AT_ONCE, **delivery})
    filling = asyncio.create_task(gateway.get(path_of(LARGE)))
    await gate.reached()
    filling.cancel()
    await asyncio.gather(filling, return_exceptions=True)
    return gateway


async def test_a_part_far_ahead_is_asked_of_the_owner_meanwhile(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    answer = await gateway.get(path_of(LARGE), Range=f"bytes={FAR}-{FAR + 99}")
    held, sent = gateway.blobs, gateway.metric("apprproxy_client_bytes_total", cache="bypass")
    gate.open()
    await gateway.at_rest()

    assert (206, LARGE[FAR : FAR + 100]) == (answer.status, answer.body)
    assert f"bytes {FAR}-{FAR + 99}/{SIZE}" == answer.headers["Content-Range"]
    assert f'"{digest(LARGE)}"' == answer.headers["ETag"]
    assert 100 == sent
    assert [] == held
    assert 1 == gateway.metric("apprproxy_requests_total", cache="bypass", status="206")
    assert ["", f"bytes={FAR}-{FAR + 99}"] == ranges_asked(registry.seen)
    assert [digest(LARGE)] == gateway.blobs


@pytest.mark.parametrize("field", [f"bytes={SIZE - 10}-{SIZE + 10}", f"bytes={SIZE - 1}-{SIZE - 1}"])
async def test_a_part_far_ahead_may_end_beyond_the_end(registry: Registry, gateways: Gateways, field: str) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    answer = await gateway.get(path_of(LARGE), Range=field)
    gate.open()

    assert (206, LARGE[SIZE - len(answer.body) :]) == (answer.status, answer.body)


@pytest.mark.parametrize("mirrored", [False, True])
async def test_a_part_far_ahead_of_nothing_costs_one_question_and_begins_the_transfer(
    registry: Registry, other: Registry, gateways: Gateways, mirrored: bool
) -> None:
    gate = Gate()
    registry.add_blob("library/app", LARGE)
    registry.on["GET blob"] = lies.in_turn(by_range, stopping_at((MIB, gate)))
    mirrors = [{"url": other.url}] if mirrored else []
    gateway = await gateways.start({"hub": oci(registry, mirrors=mirrors)}, delivery=AT_ONCE)
    answer = await gateway.get(path_of(LARGE), Range=f"bytes={FAR}-{FAR + 99}")
    asked = [(one.method, one.headers.get("range", "")) for one in registry.seen][:1]
    gate.open()
    await until(lambda: digest(LARGE) in gateway.blobs)

    assert (206, LARGE[FAR : FAR + 100]) == (answer.status, answer.body)
    assert [("GET", f"bytes={FAR}-{FAR + 99}")] == asked


NOT_ASIDE = {
    "turned off": ({"side_range": "0B"}, f"bytes={FAR}-{FAR}"),
    "too long": ({"side_range": "1KiB"}, f"bytes={FAR}-{FAR + 1024}"),
    "near": ({}, f"bytes={15 * MIB}-{15 * MIB + 9}"),
    "open": ({}, f"bytes={FAR}-"),
    "nothing unverified is to leave": ({"stream": "never"}, f"bytes={FAR}-{FAR}"),
}


@pytest.mark.parametrize(("rules", "field"), NOT_ASIDE.values(), ids=NOT_ASIDE)
async def test_what_is_not_asked_aside_waits(
    registry: Registry, gateways: Gateways, rules: dict[str, str], field: str
) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate, **rules)
    waiting = asyncio.create_task(gateway.get(path_of(LARGE), Range=field))
    await until(lambda: gateway.metric("apprproxy_flight_followers_total") == 1)
    gate.open()
    answer = await waiting

    start = int(field.removeprefix("bytes=").partition("-")[0])
    assert (206, LARGE[start : start + len(answer.body)]) == (answer.status, answer.body)
    assert [""] == ranges_asked(registry.seen)


def lying(status: int, field: str, body: bytes) -> lies.Behaviour:
    return lies.says(status, body, Content_Range=field) if field else lies.says(status, body)


OWNERS_LIES = {
    "another part": lying(206, f"bytes 0-99/{SIZE}", LARGE[:100]),
    "a longer one": lying(206, f"bytes {FAR}-{FAR + 199}/{SIZE}", LARGE[FAR : FAR + 200]),
    "no size": lying(206, f"bytes {FAR}-{FAR + 99}/*", LARGE[FAR : FAR + 100]),
    "a smaller blob": lying(206, f"bytes {FAR}-{FAR + 99}/{FAR}", LARGE[FAR : FAR + 100]),
    "nothing said": lying(206, "", LARGE[FAR : FAR + 100]),
    "the whole": lying(200, "", LARGE),
    "416": lying(416, "bytes */100", b""),
    "500": lying(500, "", b""),
    "404": lying(404, "", b'{"errors":[{"code":"BLOB_UNKNOWN"}]}'),
    "hanging up": lies.hangs_up,
}


@pytest.mark.parametrize("lie", OWNERS_LIES.values(), ids=OWNERS_LIES)
async def test_an_owner_that_answers_with_something_else_is_waited_for(
    registry: Registry, gateways: Gateways, lie: lies.Behaviour
) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    registry.on["GET blob"] = lie
    waiting = asyncio.create_task(gateway.get(path_of(LARGE), Range=f"bytes={FAR}-{FAR + 99}"))
    await until(lambda: registry.count("GET blob") >= 2)
    gate.open()
    answer = await waiting

    assert (206, LARGE[FAR : FAR + 100]) == (answer.status, answer.body)
    assert "bypass" not in answer.cache


async def test_a_part_that_does_not_begin_is_not_waited_for_for_long(
    registry: Registry, gateways: Gateways, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer of the whole may be well under way, and its header could leave at once."""
    monkeypatch.setattr("apprproxy.gateway.coming.ASIDE", 0.2)
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    registry.on["GET blob"] = lies.waiting_for(Gate())
    url = gateway.url + path_of(LARGE)
    async with gateway.session.get(url, headers={"Range": f"bytes={FAR}-{FAR + 99}"}) as answer:
        begun = answer.status
        gate.open()
        body = await answer.read()
    await until(lambda: '"status": 206' in logged.text)

    assert (206, LARGE[FAR : FAR + 100]) == (begun, body)
    (told,) = (line for line in logged.text.splitlines() if '"status": 206' in line)
    assert "a part from hub " in told
    assert "did not come in time" in told


async def test_a_part_that_ends_early_is_broken_off(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    registry.on["GET blob"] = lying(206, f"bytes {FAR}-{FAR + 99}/{SIZE}", LARGE[FAR : FAR + 50])
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.get(path_of(LARGE), Range=f"bytes={FAR}-{FAR + 99}")
    gate.open()


async def test_a_repository_that_lacks_it_is_given_no_part_of_it(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    gateway = await held_back(registry, gateways, gate)
    answer = await gateway.get(path_of(LARGE, "evil/app"), Range=f"bytes={FAR}-{FAR + 99}")
    gate.open()

    assert 404 == answer.status


async def test_of_a_view_nobody_else_is_asked_for_a_part_where_one_is_known_to_have_the_whole(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """Nobody can verify a part: a later member's would be taken for the first one's."""
    wanted, gate = registry.add_blob("library/app", LARGE), Gate()
    registry.on["GET blob"] = lies.in_turn(stopping_at((MIB, gate)), lies.page(500))

    async def other_bytes(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        return await by_range(request, Honest(200, bytes(SIZE), honest.headers))

    other.on["GET blob"] = other_bytes
    gateway = await gateways.start({"hub": registry, "evil": other}, views={"both": ["hub", "evil"]})
    filling = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}"))
    await gate.reached()
    asked = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{wanted}", Range=f"bytes={FAR}-{FAR + 99}"))
    await until(lambda: registry.count("GET blob") == 2)
    gate.open()
    await filling
    part = await asked

    assert (206, LARGE[FAR : FAR + 100]) == (part.status, part.body)
    assert 0 == other.count()
