"""Writes are bounded in number and time, and one that was taken upstream is never told to have failed."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from apprproxy.appregistry import forwarding
from apprproxy.core.errors import StoreFailed
from apprproxy.store.names import DiskNames
from tests.appregistry.conftest import Start
from tests.appregistry.upstream import Upstream
from tests.fakes.raw import answering, wire

PUSH = "/cnr/api/v1/packages/alice/nginx"
UNFINISHED = f"POST {PUSH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\nbegun"


async def test_a_write_that_finds_no_room_is_told_to_come_back(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "TURN", 0.3)
    gateway = await start({"up": upstream}, writes="pass")
    async with AsyncExitStack() as stack:
        for _ in range(forwarding.AT_ONCE):
            client = await stack.enter_async_context(wire(gateway.url))
            await client.send(UNFINISHED)
        async with asyncio.timeout(5):
            while (got := await gateway.get(PUSH, "POST", body=b"{}")).status != 503:
                pass

    assert "1" == got.headers["Retry-After"]
    assert "4 writes are under way here already" in got.json["message"]


async def test_a_push_that_was_taken_is_no_failure_because_the_cache_cannot_be_written(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFailed("the names cannot be written: database or disk is full")

    gateway = await start({"up": upstream}, writes="pass")
    monkeypatch.setattr(DiskNames, "forget", full)
    got = await gateway.get(PUSH, "POST", body=b'{"release": "1.0.0", "media_type": "helm", "blob": ""}')

    assert 1 == len(upstream.bodies)
    assert 500 != got.status


async def test_a_content_type_that_cannot_be_sent_does_not_end_a_push(start: Start) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; x=\x01\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    async with answering(said) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        got = await gateway.get(PUSH, "POST", body=b"{}")

    assert (200, b"{}", "text/plain") == (got.status, got.body, got.headers["Content-Type"])


async def test_a_push_of_ten_thousand_nothings_is_refused_before_it_is_looked_into(
    start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, writes="pass")
    got = await gateway.get(PUSH, "POST", body=b'{"release":"1","z":[' + b"[]," * 10_001 + b"[]]}")

    assert 400 == got.status
    assert "too many fields" in got.json["message"]
    assert 0 == upstream.count()
