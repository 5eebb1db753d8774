"""Four verbs: blob (bytes, from anyone), lookup (a name, from its owner), survey (a name, from all), forward (a write).

Faces turn a request into a want and call one of these; nobody here calls a face.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from apprproxy.core.errors import (
    Denied,
    Exhausted,
    Failure,
    Lied,
    Moved,
    NotAllowed,
    NotHeld,
    NotOffered,
    NotThere,
    UpstreamFault,
)
from apprproxy.core.model import MAX_DOCUMENT, BlobWant, Cache, Kind, NameWant, Place, Verdict, Write
from apprproxy.core.ports import Clock, Held, Observer, Reply
from apprproxy.gateway.fetch import Fetch
from apprproxy.gateway.flight import Candidate, Flight, Flights
from apprproxy.gateway.lookup import Lookups, Named, Shelf
from apprproxy.gateway.member import Members
from apprproxy.gateway.route import order


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rules for when something leaves. ``patience`` in seconds, ``max_blob`` in bytes."""

    patience: float = 10.0
    max_blob: int = 64 * 1024**3


class Transfer:
    """A blob that is held, or on its way. ``size`` is known; the bytes are had from ``held``."""

    def __init__(self, verdict: Verdict, origin: str, held: Held | None, wait: "Wait | None" = None) -> None:
        self.verdict = verdict
        self.origin = origin
        self._held = held
        self._wait = wait

    @property
    def size(self) -> int:
        if self._held is not None:
            return self._held.size
        assert self._wait is not None
        assert self._wait.flight.size is not None
        return self._wait.flight.size

    async def held(self) -> Held:
        """The verified bytes; raises what ``Gateway.blob`` raises."""
        if self._held is None:
            assert self._wait is not None
            self._held = await self._wait.done()
        return self._held


@dataclass(frozen=True, slots=True)
class Wait:
    """One caller's wait for a flight."""

    flight: Flight
    candidates: tuple[Candidate, ...]
    gateway: "Gateway"

    async def done(self) -> Held:
        try:
            return await self.flight.wait(self.candidates)
        except Exhausted as failed:
            await self.gateway.explain_move(self.candidates, failed)
            raise


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member of a view said: its document, or why there is none."""

    member: str
    named: Named | None = None
    failure: Failure | None = None


class Gateway:
    def __init__(
        self,
        members: Members,
        shelf: Shelf,
        observer: Observer,
        now: Clock,
        *,
        delivery: Delivery,
        offline: bool = False,
    ) -> None:
        self._members = members
        self._shelf = shelf
        self._offline = offline
        self._delivery = delivery
        self._flights = Flights(Fetch(shelf.blobs, shelf.misses, observer, delivery.max_blob), observer)
        self._lookups = Lookups(shelf, self._manifest, observer, now, offline=offline)

    # --- bytes by digest

    async def blob(self, want: BlobWant, *, whole: bool = False) -> Transfer:
        """Verified bytes, or after ``patience`` a transfer whose size is known.

        ``whole`` waits for the bytes however long that takes. Raises Exhausted, Moved or NotHeld.
        """
        candidates = await self._candidates(want)
        under_way = self._flights.under_way(want.expected)
        held = await self._shelf.blobs.find(want.expected)
        if held is None and under_way is not None:
            held = under_way.held  # it may have been committed, and have ended, while we looked
        if held is not None:
            return Transfer(Verdict(Cache.HIT), candidates[0].member.name if candidates else "", _bounded(want, held))
        if self._offline:
            raise NotHeld(f"offline, and {want.expected.digest} is not held")
        flight, joined = self._flights.join(want.expected, candidates)
        verdict = Verdict(Cache.COLLAPSED if joined else Cache.MISS, stored=True)
        wait = Wait(flight, candidates, self)
        task = asyncio.ensure_future(wait.done())
        try:
            await asyncio.wait([task], timeout=None if whole else self._delivery.patience)
            await _first(task, flight.sized())
            if task.done() or flight.size is None:
                return Transfer(verdict, flight.origin or candidates[0].member.name, _bounded(want, await task))
            return Transfer(verdict, candidates[0].member.name, None, wait)
        finally:
            task.cancel()

    async def holds(self, want: BlobWant) -> bool:
        """Could ``blob`` answer at once?"""
        return self._flights.landed(want.expected) or await self._shelf.blobs.find(want.expected) is not None

    async def _candidates(self, want: BlobWant) -> tuple[Candidate, ...]:
        names = want.place.members
        if len(names) > 1:
            names = order(
                want.place, await self._shelf.names.owner(want.place.name, _home(want.place, want.repository))
            )
        return tuple(Candidate(self._members(name), want) for name in names)

    async def _manifest(self, want: BlobWant) -> Held:
        """Durable when it returns: a name's record is going to point at it."""
        held = await (await self.blob(want, whole=True)).held()
        await self._flights.kept(want.expected)
        return held

    async def explain_move(self, candidates: tuple[Candidate, ...], failed: Exhausted) -> None:
        """Raise Moved where the bytes are nowhere because the release that named them moved."""
        if not all(isinstance(failure, NotThere) for failure in failed.failures):
            return
        for candidate in candidates:
            if not candidate.want.pin:
                return
            move = await self._shelf.pins.move(candidate.member.name, candidate.want.pin)
            if move is not None and move.first == candidate.want.expected.digest:
                raise Moved(move) from failed

    # --- names

    async def lookup(self, want: NameWant, *, again: bool = False) -> Named:
        """A name from the member that owns it; only an authoritative *no* passes it on to the next.

        ``again`` revalidates what is fresh (a client's no-cache). Raises Exhausted (all of NotThere: there is none),
        NotHeld or Moved.
        """
        remembered = None
        if len(want.place.members) > 1:
            remembered = await self._owner(want)
        noes: list[UpstreamFault] = []
        unheld: NotHeld | None = None
        for name in order(want.place, remembered):
            try:
                named = await self._lookups.find(self._members(name), want, again=again)
            except Denied as no:
                raise Exhausted([*noes, no]) from no
            except (NotThere, NotOffered) as no:
                noes.append(no)
            except NotHeld as nothing:
                unheld = nothing
            except UpstreamFault as outage:
                raise Exhausted([*noes, outage]) from outage
            else:
                await self._remember_owner(want, name, remembered)
                return named
        if unheld is not None:
            raise unheld
        raise Exhausted(noes)

    async def _owner(self, want: NameWant) -> str | None:
        """Who had this name, or anything else of its repository, in this view."""
        owner = await self._shelf.names.owner(want.place.name, want.key)
        if owner is None and want.repository:
            owner = await self._shelf.names.owner(want.place.name, _home(want.place, want.repository))
        return owner

    async def _remember_owner(self, want: NameWant, name: str, remembered: str | None) -> None:
        if len(want.place.members) == 1 or name == remembered:
            return
        await self._shelf.names.set_owner(want.place.name, want.key, name)
        if want.repository:
            await self._shelf.names.set_owner(want.place.name, _home(want.place, want.repository), name)

    async def survey(self, want: NameWant, *, again: bool = False) -> list[Answer]:
        """The same name from every member at once, every answer kept apart, in the view's order. Does not raise."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(name, want, again=again)) for name in want.place.members]
        return [task.result() for task in tasks]

    async def _answer(self, name: str, want: NameWant, *, again: bool) -> Answer:
        try:
            return Answer(name, named=await self._lookups.find(self._members(name), want, again=again))
        except Failure as failure:
            return Answer(name, failure=failure)

    # --- writes

    async def forward(self, write: Write) -> tuple[str, Reply]:
        """Pass a write on with the caller's own Authorization, and forget the names that it changed.

        Goes to the only member that takes writes; returns its name and whatever it answered. Raises NotAllowed,
        or an UpstreamFault.
        """
        member = self._members(self.may_forward(write.place))
        reply = await member.upstream.send(member.dialect.write(write))
        if write.repository and 200 <= reply.status < 300:
            await self._shelf.names.forget(member.name, write.repository, write.pins)
        return member.name, reply

    def may_forward(self, place: Place) -> str:
        """The member that takes writes for a place, so that a refusal need not wait for a body; raises NotAllowed."""
        takers = [name for name in place.members if self._members(name).terms.writes == "pass"]
        if len(takers) != 1 or self._offline:
            raise NotAllowed(_why_no_write(place, takers, offline=self._offline))
        return takers[0]

    async def close(self) -> None:
        """Break off what is under way."""
        await self._lookups.close()
        await self._flights.close()


def _why_no_write(place: Place, takers: list[str], *, offline: bool) -> str:
    if offline:
        return "this gateway is offline: no upstream is ever contacted"
    if takers:
        return f"several members of {place.name} take writes ({', '.join(takers)}): put one's name first in the path"
    keys = ", ".join(f"upstreams.{name}.writes: pass" for name in place.members)
    return f"no upstream takes writes through this gateway; push to it directly, or set {keys}"


async def _first(task: asyncio.Future[Any], other: Coroutine[None, None, None]) -> None:
    """Until one of the two is done; the task goes on."""
    race: asyncio.Future[Any] = asyncio.ensure_future(other)
    try:
        await asyncio.wait([task, race], return_when=asyncio.FIRST_COMPLETED)
    finally:
        race.cancel()


def _bounded(want: BlobWant, held: Held) -> Held:
    """What is held may be some blob of any size; a manifest is read into memory."""
    if want.kind is Kind.MANIFEST and held.size > MAX_DOCUMENT:
        raise Exhausted([Lied(want.place.name, f"has {held.size} bytes under {held.digest}, which is no manifest")])
    return held


def _home(place: Place, repository: str) -> str:
    """The key under which a view remembers who has a repository; an image and a package may have one name."""
    return f"repository {place.protocol or '-'} {repository}"
