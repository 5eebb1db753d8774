"""However many digests are asked for at once, files, descriptors and memory are bounded."""

import asyncio
import os

import pytest

from apprproxy.core.errors import StoreFailed
from apprproxy.gateway import flights
from tests.fakes import lies
from tests.fakes.clock import Gate, until
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, Running
from tests.fakes.registry import Registry

MANY = 95
CONNECTIONS = 32
"""Of an upstream, where its section does not say."""


def paths(count: int) -> list[str]:
    return [f"/v2/hub/library/app/blobs/{digest(b'%d' % number)}" for number in range(count)]


async def leave_after_asking(gateway: Running, count: int) -> None:
    """Clients that ask for different blobs, and are gone."""
    asking = [asyncio.create_task(gateway.get(path)) for path in paths(count)]
    await until(lambda: gateway.metric("apprproxy_flights") >= count)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_transfers_that_wait_their_turn_hold_no_file(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    before = len(os.listdir("/proc/self/fd"))
    await leave_after_asking(gateway, MANY)
    await gate.reached()
    parts, open_files = len(gateway.ingests), len(os.listdir("/proc/self/fd")) - before
    gate.open()
    await gateway.at_rest()

    assert parts <= CONNECTIONS
    assert open_files < 2 * MANY + 3 * CONNECTIONS, "the clients' own connections, and three for each that has its turn"
    assert [] == gateway.ingests


async def test_too_many_transfers_are_refused_for_a_while(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "WAITING", 3)
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    await leave_after_asking(gateway, 3)
    refused = await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'one more')}")
    gate.open()

    assert 503 == refused.status
    assert "Retry-After" in refused.headers
    assert "too many transfers" in refused.message


async def test_metrics_are_told_while_the_index_cannot_be_read(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await gateways.start({"hub": registry})

    def unreadable() -> None:
        raise StoreFailed("the cache's index failed: disk I/O error")

    monkeypatch.setattr(gateway.app.ledger, "totals", unreadable)
    told = await gateway.get("/metrics")

    assert 200 == told.status
    assert b"apprproxy_cache_blobs NaN" in told.body
