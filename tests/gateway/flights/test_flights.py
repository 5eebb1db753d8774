"""Who is asked for bytes, how often, in whose turn, and how much of it is in memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, NotThere, StoreFailed, Unreachable
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.core.ports.store import Claim, Partial
from apprproxy.gateway.flights.candidates import ATTEMPTS, Candidate
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.flights import Fill, Flights
from apprproxy.gateway.members.member import Member
from apprproxy.store.blobs.disk import DiskStore
from tests.fakes.clock import Gate, until
from tests.fakes.members import member_of
from tests.fakes.sources import recorder
from tests.store.contents import prepared

LACKING = NotThere("hub", "does not have it")


def owner(member: Member, content: bytes, kind: Kind = Kind.BLOB, repository: str = "library/app") -> Candidate:
    want = BlobWant(Place(member.name, (member.name,)), repository, Expected(Digest.of(content)), kind)
    return Candidate(member, member.sources[-1], want)


class Asked:
    """A Fill that waits at the gate with whoever is asked, who then does not have it."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.members: list[str] = []

    async def __call__(self, _: Flight, candidate: Candidate, __: Partial) -> bool:
        self.members.append(candidate.member.name)
        await self.gate()
        raise LACKING


def flights_of(store: DiskStore, fill: Fill) -> Flights:
    return Flights(fill, store, recorder([]))


async def test_who_breaks_off_each_time_is_asked_so_often_and_no_more(tmp_path: Path) -> None:
    asked = 0

    async def fill(_: Flight, __: Candidate, partial: Partial) -> bool:
        nonlocal asked
        asked += 1
        assert asked <= ATTEMPTS
        await partial.begins("hub", "owner", 1000)
        await partial.write(b"x")
        raise Unreachable("hub", "broke off")

    candidates = [owner(member_of("hub"), b"x" * 1000)]
    flight, _ = flights_of(prepared(tmp_path), fill).join(candidates[0].want.expected, candidates)
    with pytest.raises(Exhausted):
        await flight.wait(candidates)

    assert ATTEMPTS == asked


async def test_two_documents_at_once_are_held_in_memory_while_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise StoreFailed("the cache's disk failed: Input/output error")

    store, asked, hub = prepared(tmp_path), Asked(), member_of("hub")
    monkeypatch.setattr(store, "claim", fails)
    flights = flights_of(store, asked)
    wanted = [[owner(hub, b"%d" % number, Kind.MANIFEST)] for number in range(5)]
    joined = [flights.join(one.want.expected, [one])[0] for (one,) in wanted]
    await asked.gate.reached(2)
    await asyncio.sleep(0)
    at_once = asked.gate.waiting
    asked.gate.open()
    for flight, candidates in zip(joined, wanted, strict=True):
        with pytest.raises(Exhausted):
            await flight.wait(candidates)

    assert (2, 5) == (at_once, asked.gate.waiting)


async def test_documents_do_not_wait_for_their_turn_behind_blobs(tmp_path: Path) -> None:
    asked, hub = Asked(), member_of("hub", connections=1)
    flights = flights_of(prepared(tmp_path), asked)
    for candidate in (owner(hub, b"layer"), owner(hub, b"another"), owner(hub, b"{}", Kind.MANIFEST)):
        flights.join(candidate.want.expected, [candidate])
    await asked.gate.reached(2)
    waiting = flights.waiting
    asked.gate.open()
    await flights.close()

    assert 1 == waiting


async def test_the_upstream_whose_turn_it_is_is_asked(tmp_path: Path) -> None:
    asked, hub, far = Asked(), member_of("hub", connections=1), member_of("far")
    flights = flights_of(prepared(tmp_path), asked)
    for candidates in ([owner(hub, b"layer")], [owner(hub, b"wanted"), owner(far, b"wanted")]):
        flights.join(candidates[0].want.expected, candidates)
    await asked.gate.reached(2)
    first = list(asked.members)
    asked.gate.open()
    await flights.close()

    assert {"hub", "far"} == set(first), "in whichever order their files are opened"


async def test_after_another_upstreams_transfer_another_process_is_told_of_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, others, wanted = Asked(), [owner(member_of("far"), b"layer")], [owner(member_of("hub"), b"layer")]
    store, beside, expected = prepared(tmp_path), prepared(tmp_path), wanted[0].want.expected
    flights, claim = flights_of(store, asked), store.claim
    host, _ = flights.join(expected, others)
    await asked.gate.reached()
    flight, _ = flights.join(expected, wanted)
    host.current = wanted[0]  # as that of a view that asks both
    await until(lambda: flight.elsewhere)

    async def behind_another(expected: Expected, whose: str = "", *, apart: bool = False, anew: bool = False) -> Claim:
        monkeypatch.setattr(store, "claim", claim)
        partial = (await beside.claim(expected)).partial
        assert partial is not None
        elsewhere = await claim(expected, whose, apart=apart, anew=anew)
        await partial.leave(keep=False)
        return elsewhere

    monkeypatch.setattr(store, "claim", behind_another)
    asked.gate.open()
    with pytest.raises(Exhausted):
        await flight.wait(wanted)

    assert ["another upstream's transfer", "another process", "hub"] == [one.what for one in flight.diary.tried]


def sent_by(flight: Flight, source: str) -> Callable[[], bool]:
    return lambda: source in {part.source for part in flight.parts}


async def test_a_mirror_tells_no_size_in_another_process_either(tmp_path: Path) -> None:
    asked, candidates = Asked(), [owner(member_of("hub"), b"layer")]
    expected = candidates[0].want.expected
    partial = (await prepared(tmp_path).claim(expected)).partial
    assert partial is not None
    flight, _ = flights_of(prepared(tmp_path), asked).join(expected, candidates)
    sizes = []
    for source in ("mirror-1", "owner"):
        await partial.begins("hub", source, 100)
        await partial.write(b"x")
        await until(sent_by(flight, source))
        sizes.append(dict(flight.sizes))
    await partial.leave(keep=False)
    await asked.gate.reached()
    asked.gate.open()
    with pytest.raises(Exhausted):
        await flight.wait(candidates)

    assert [{}, {"hub": 100}] == sizes
