"""Interim answers (1xx) are passed over; an upstream that sends nothing else is soon no longer listened to."""

import asyncio

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from apprproxy.core.model import KIB
from apprproxy.upstream.connector import MAX_BEFORE, MAX_INTERIM, Connector
from tests.fakes.clock import PATIENCE
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.raw import answering
from tests.fakes.registry import Registry

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
TAGS = b'{"name":"a/b","tags":["1.0"]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(TAGS), TAGS)


@pytest.mark.parametrize(("interim", "status"), [(0, 200), (1, 200), (MAX_INTERIM, 200), (MAX_INTERIM + 1, 502)])
@pytest.mark.parametrize("at_once", [True, False])
async def test_so_many_interim_answers_are_passed_over(
    gateways: Gateways, interim: int, status: int, at_once: bool
) -> None:
    packets = [EARLY * interim + ANSWER] if at_once else [*[EARLY] * interim, ANSWER]
    async with answering(*packets) as url:
        gateway = await gateways.start({"hub": {"url": url}})
        got = await gateway.get("/v2/hub/a/b/tags/list")

        assert status == got.status
        assert status == 200 or "did not answer in HTTP" in got.message


async def test_interim_answers_without_end_end_the_connection(gateways: Gateways) -> None:
    async with answering(*[EARLY * 10_000] * 100) as url:
        gateway = await gateways.start({"hub": {"url": url}})
        got = await gateway.get("/v2/hub/a/b/tags/list")

        assert 502 == got.status


class Line(asyncio.Transport):
    """Nothing leads anywhere."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def test_of_what_one_read_brings_no_more_is_looked_at_than_is_taken() -> None:
    connector, line = Connector(), Line()
    handler = connector._factory()
    handler.connection_made(line)
    handler.set_response_params()
    handler.data_received(EARLY * (256 * KIB // len(EARLY)))
    await connector.close()

    assert line.closed
    assert MAX_INTERIM == len(handler)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
async def test_empty_lines_without_end_before_an_answer_end_the_connection(line_end: bytes) -> None:
    connector, line = Connector(), Line()
    handler = connector._factory()
    handler.connection_made(line)
    for _ in range(3):
        handler.set_response_params()
        handler.data_received(line_end * 100_000 + ANSWER)
        assert not line.closed, "each answer has lines of its own"
    handler.set_response_params()
    for _ in range(1 + MAX_BEFORE // (256 * KIB)):
        handler.data_received(line_end * (256 * KIB // len(line_end)))
    await connector.close()

    assert line.closed
    assert isinstance(handler.exception(), HttpProcessingError)


@pytest.mark.parametrize(("fields", "status"), [(16, 200), (40, 502)])
async def test_a_header_has_so_many_bytes_and_no_more(gateways: Gateways, fields: int, status: int) -> None:
    """Each of 8 KiB, of which the library takes 128: three MiB of memory for each connection."""
    begin, _, rest = ANSWER.partition(b"\r\n")
    header = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(fields))
    async with answering(begin + b"\r\n" + header + rest) as url:
        gateway = await gateways.start({"hub": {"url": url}})
        got = await gateway.get("/v2/hub/a/b/tags/list")

        assert status == got.status


async def test_each_answer_of_a_connection_has_interim_answers_of_its_own() -> None:
    connector, line = Connector(), Line()
    handler = connector._factory()
    handler.connection_made(line)
    for _ in range(3):
        handler.set_response_params()
        handler.data_received(EARLY * MAX_INTERIM + ANSWER)
    await connector.close()

    assert not line.closed
    assert 3 * (MAX_INTERIM + 1) == len(handler)


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning"


@pytest.mark.parametrize(
    "packets",
    [
        (ANSWER, ANSWER * 1000),
        (ANSWER[:-5], ANSWER[-5:] + BEGUN, *[bytes(991) + BEGUN] * 100),
        (ANSWER + b"HTTP/1.1 204 No Content\r\n\r\n" * 10_000,),
    ],
    ids=["after it", "begun in the same read", "whole in the same read"],
)
async def test_what_comes_unasked_behind_an_answer_ends_the_connection(packets: tuple[bytes, ...]) -> None:
    connector, line = Connector(), Line()
    handler = connector._factory()
    handler.connection_made(line)
    handler.set_response_params()
    for packet in packets:
        handler.data_received(packet)
    await connector.close()

    assert line.closed
    assert handler.should_close, "nobody is given it for another question"
    assert 1 == len(handler)


async def test_a_body_that_is_read_slowly_comes_whole() -> None:
    """Reading stops amid what has come, and goes on without anything new."""
    body = some_bytes(1_000_000)
    async with Registry() as registry, aiohttp.ClientSession(connector=Connector()) as session:
        path = f"/v2/library/app/blobs/{registry.add_blob('library/app', body)}"
        async with session.get(registry.url + path) as answer:
            read = b""
            while piece := await asyncio.wait_for(answer.content.read(10_000), PATIENCE):
                read += piece
                await asyncio.sleep(0.001)

    assert body == read
