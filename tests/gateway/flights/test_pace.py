"""A turn ends for who is slow, and for who never ends, where another upstream could be asked; our own time is ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.core.ports.store import Partial
from apprproxy.gateway.flights import pace
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.pace import Overtaken, Pace, paced
from tests.fakes.clock import PATIENCE
from tests.fakes.members import member_of
from tests.store.contents import prepared

EXPECTED = Expected(Digest.of(b"content"))


def candidate(name: str) -> Candidate:
    member = member_of(name)
    return Candidate(member, member.sources[-1], BlobWant(Place(name, (name,)), "library/app", EXPECTED))


def flying(*candidates: Candidate) -> Flight:
    """Somebody waits for it."""
    flight = Flight(EXPECTED, tuple(one.member.name for one in candidates))
    flight.add(candidates)
    flight.candidates.joined_by(candidates)
    return flight


@pytest.fixture
async def partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Partial]:
    """Looked at every twentieth of a second; quick is what no busy machine is too slow for."""
    monkeypatch.setattr(pace, "LOOK", 0.05)
    monkeypatch.setattr(pace, "LEAST", 1000)
    claim = await prepared(tmp_path).claim(EXPECTED)
    assert claim.partial is not None
    await claim.partial.begins("hub", "owner", None)
    yield claim.partial
    await claim.partial.leave(keep=False)


async def sends(partial: Partial, piece: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await partial.write(piece)
            await asyncio.sleep(0.01)


async def test_whoever_is_slow_makes_way_and_whoever_is_quick_does_not(partial: Partial) -> None:
    hub, far = candidate("hub"), candidate("far")
    with pytest.raises(Overtaken):
        async with paced(flying(hub, far), hub, partial):
            await sends(partial, b"x")
    with pytest.raises(TimeoutError):
        async with paced(flying(hub, far), hub, partial), asyncio.timeout(0.3):
            await sends(partial, bytes(65536))


async def test_whoever_is_quick_and_never_ends_makes_way_as_well(
    partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LONGEST", 0.3)
    hub, far = candidate("hub"), candidate("far")
    with pytest.raises(Overtaken):
        async with paced(flying(hub, far), hub, partial):
            await sends(partial, bytes(65536))


async def test_nobody_makes_way_where_no_other_upstream_could_be_asked(partial: Partial) -> None:
    hub = candidate("hub")
    async with paced(flying(hub), hub, partial):
        await asyncio.sleep(0.3)

    assert 0 == partial.size


async def test_what_this_gateway_does_itself_is_no_slowness_of_an_upstream(partial: Partial) -> None:
    hub, far = candidate("hub"), candidate("far")
    async with paced(flying(hub, far), hub, partial) as attempt:
        with attempt.ours():
            await asyncio.sleep(0.3)


async def test_a_look_that_saw_us_at_work_says_nothing_of_the_source() -> None:
    attempt = Pace()
    with attempt.ours():
        during = [attempt.is_theirs(), attempt.is_theirs()]
    after = [attempt.is_theirs(), attempt.is_theirs()]

    assert ([False, False], [False, True]) == (during, after)
