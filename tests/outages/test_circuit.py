"""With a circuit open nobody waits for a dead upstream: what is held comes at once, and the rest fails at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.fakes.clock import Clock
from tests.fakes.gateway import Gateways, Got, Running
from tests.outages.names import NameServer
from tests.outages.owner import LAYER, PATHS, Certificates, Owner, owner_of
from tests.outages.table import Thing

PATIENT = {"connect": "1500ms", "read": "1500ms", "name": "2s", "revalidate": "1s"}
"""Longer than either promise: without a circuit every question runs into one of these."""
AT_ONCE = 3
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Dark:
    """A gateway that holds a tag and a blob, and whose circuit is open. ``tag`` is the manifest's bytes."""

    gateway: Running
    blob: str
    tag: bytes


@pytest.fixture
async def dark(gateways: Gateways, names: NameServer, certificates: Certificates) -> AsyncIterator[Dark]:
    async with owner_of(Thing.BLOB, names, certificates) as (owner, blob):
        await owner.begin("http")
        gateway, tag = await _filled(gateways, owner, blob)
        await owner.line.swallow()
        await _opened(gateway, "first")
        yield Dark(gateway, blob, tag)


async def test_a_fresh_tag_takes_less_than_50_ms(dark: Dark) -> None:
    got, seconds = await _fastest(dark.gateway, PATHS[Thing.TAG])

    assert (200, dark.tag) == (got.status, got.body)
    assert seconds < 0.05


async def test_an_expired_tag_takes_less_than_50_ms(dark: Dark, clock: Clock) -> None:
    clock.advance(61)
    await _opened(dark.gateway, "later")
    got, seconds = await _fastest(dark.gateway, PATHS[Thing.TAG])

    assert (200, dark.tag) == (got.status, got.body)
    assert seconds < 0.05


async def test_a_held_blob_takes_less_than_50_ms(dark: Dark) -> None:
    got, seconds = await _fastest(dark.gateway, dark.blob)

    assert (200, LAYER) == (got.status, got.body)
    assert seconds < 0.05


COLD = [
    f"/v2/owner/library/app/blobs/sha256:{'0' * 64}",
    f"/v2/owner/library/app/manifests/sha256:{'0' * 64}",
    "/v2/owner/library/app/manifests/2.0",
    "/v2/owner/other/app/tags/list",
]


@pytest.mark.parametrize("path", COLD)
async def test_what_is_not_held_fails_in_less_than_a_second(dark: Dark, path: str) -> None:
    got, seconds = await _timed(dark.gateway, path)

    assert (503, "UNAVAILABLE") == (got.status, got.code)
    assert int(got.headers["Retry-After"]) > 0
    assert seconds < 1


# --- nor is whoever looks whether it is back


PENALTY = 61
"""Seconds after which every source is asked again by one request."""


async def test_the_one_that_looks_is_given_what_is_stale_in_less_than_50_ms(dark: Dark, clock: Clock) -> None:
    clock.advance(PENALTY)
    got, seconds = await _timed(dark.gateway, PATHS[Thing.TAG])

    assert (200, dark.tag) == (got.status, got.body)
    assert seconds < 0.05


@pytest.mark.parametrize("path", COLD)
async def test_and_what_is_not_held_fails_for_it_in_less_than_a_second(dark: Dark, clock: Clock, path: str) -> None:
    clock.advance(PENALTY)
    got, seconds = await _timed(dark.gateway, path)

    assert (503, "UNAVAILABLE") == (got.status, got.code)
    assert "looks whether it is back" in got.message
    assert int(got.headers["Retry-After"]) > 0
    assert seconds < 1


async def _filled(gateways: Gateways, owner: Owner, blob: str) -> tuple[Running, bytes]:
    keys = {**owner.keys("http"), "timeouts": PATIENT}
    gateway = await gateways.start({"owner": keys})
    assert (await gateway.get(blob)).status == 200
    tag = await gateway.get(PATHS[Thing.TAG])
    assert tag.status == 200
    await gateway.at_rest()
    return gateway, tag.body


async def _opened(gateway: Running, when: str) -> None:
    """Ask for what is not held, each time for something else, until the answer is that nobody is asked any more."""
    for number in range(ROUNDS):
        paths = [f"/v2/owner/library/app/manifests/{when}-{number}-{one}" for one in range(AT_ONCE)]
        answers = await asyncio.gather(*(gateway.get(path) for path in paths))
        if 503 in {answer.status for answer in answers}:
            return
    pytest.fail("the circuit stays closed")


async def _timed(gateway: Running, path: str) -> tuple[Got, float]:
    began = time.perf_counter()
    got = await gateway.get(path)
    return got, time.perf_counter() - began


async def _fastest(gateway: Running, path: str) -> tuple[Got, float]:
    """Of some, as a test machine may be busy."""
    return min([await _timed(gateway, path) for _ in range(5)], key=lambda one: one[1])
