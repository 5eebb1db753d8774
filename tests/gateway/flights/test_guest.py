"""Who waits behind somebody else's transfer stays while that is quick, not for long, and for no more than is due."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.guest import STANDS_STILL, Stay
from apprproxy.gateway.flights.pace import LEAST, LONGEST, LOOK
from tests.fakes.clock import Clock
from tests.fakes.members import member_of

QUICK = int(LEAST * LOOK)
"""Bytes, in less than a look."""


@pytest.fixture
async def now(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    """The loop's own clock: nothing is waited for in these tests."""
    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", clock)
        yield clock


def stay(kind: Kind = Kind.BLOB) -> Stay:
    hub, expected = member_of("hub"), Expected(Digest.of(b"content"))
    flight = Flight(expected, (hub.name,))
    flight.add([Candidate(hub, hub.sources[-1], BlobWant(Place(hub.name, (hub.name,)), "library/app", expected, kind))])
    return Stay(flight)


def left_after(waits: Stay, now: Clock, piece: int, *, every: float, ours: bool = False) -> float:
    """Seconds until it is over, where that much comes each time; a minute where it is not."""
    came, began = 0, now()
    while now() - began < 60:
        now.advance(every)
        came += piece
        if waits.is_over(came, None, ours=ours):
            break
    return now() - began


async def test_another_upstreams_trickle_is_waited_for_no_longer_than_its_silence(now: Clock) -> None:
    trickle = left_after(stay(), now, QUICK // 8, every=LOOK / 4)
    silence = left_after(stay(), now, 0, every=LOOK / 4)

    assert LOOK < trickle == silence <= 1.5 * LOOK


async def test_a_quick_transfer_is_waited_for_but_not_for_ever(now: Clock) -> None:
    assert LONGEST < left_after(stay(), now, QUICK, every=LOOK / 2) <= LONGEST + LOOK


async def test_a_quick_document_is_waited_for_no_longer_than_a_slow_one(now: Clock) -> None:
    """A question about a name waits for it."""
    assert LOOK < left_after(stay(Kind.MANIFEST), now, QUICK, every=LOOK / 2) <= 2 * LOOK


async def test_what_our_own_upstream_sends_is_waited_for_however_slowly_it_comes(now: Clock) -> None:
    assert 60 <= left_after(stay(), now, 1, every=STANDS_STILL - 1, ours=True)
    assert STANDS_STILL < left_after(stay(), now, 0, every=1, ours=True) <= STANDS_STILL + 1


async def test_more_than_is_due_is_not_what_we_wait_for(now: Clock) -> None:
    now.advance(LOOK / 2)

    assert [False, True] == [stay().is_over(there, 1000, ours=False) for there in (1000, 1001)]
    assert not stay().is_over(1001, 1000, ours=True), "whoever sends that finds it out itself"
