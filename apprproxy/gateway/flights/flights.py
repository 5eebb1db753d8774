"""The transfers under way: one task each, which fills a partial from one candidate after the other, or reads along
while another process does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from apprproxy.core.errors import (
    Failure,
    Interrupted,
    Lied,
    NoRoom,
    NotOffered,
    NotThere,
    Shut,
    StoreFailed,
    UpstreamFault,
    forget_calls,
)
from apprproxy.core.events import FlightBegan, FlightEnded, Followed, Observer, Trouble, trouble_of
from apprproxy.core.model import MAX_DOCUMENT, Expected
from apprproxy.core.ports.store import BlobStore, Partial
from apprproxy.gateway.diary import THE_CACHE
from apprproxy.gateway.flights.blame import Blame
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.contributors import upstreams_of
from apprproxy.gateway.flights.flight import Flight, key_of
from apprproxy.gateway.flights.guest import LOOK_AGAIN, FilledElsewhere, wait_behind
from apprproxy.gateway.flights.pace import Overtaken
from apprproxy.gateway.flights.shares import Shares
from apprproxy.gateway.flights.slots import Slots

log = logging.getLogger(__name__)

_NO_TROUBLE = (NotThere, NotOffered, Shut)
"""What says nothing of how an owner is, or has been told."""

Fill = Callable[[Flight, Candidate, Partial], Awaitable[bool]]
"""Asks the candidate for what the partial lacks, and commits it; raises UpstreamFault, or StoreFailed. False where it
was not asked, because it has failed."""


class Flights:
    """The flights under way, by what is expected. ``close`` ends them."""

    def __init__(self, fill: Fill, store: BlobStore, observer: Observer) -> None:
        self._fill = fill
        self._store = store
        self._observer = observer
        self._blame = Blame(observer)
        self._flights: dict[str, dict[tuple[str, ...], Flight]] = {}
        self._tasks: dict[asyncio.Task[None], Flight] = {}
        self._shares = Shares()
        self._slots = Slots()

    @property
    def waiting(self) -> int:
        """How many wait their turn."""
        return self._slots.waiting

    def under_way(self, expected: Expected, *, alone: bool = False) -> Sequence[Flight]:
        """In the order in which they began: one for those who would ask the same upstreams in the same order. Of those
        that share what they bring, or of those ``alone``."""
        return tuple(self._flights.get(key_of(expected, alone=alone), {}).values())

    def landed(self, expected: Expected) -> Sequence[Flight]:
        """Those whose bytes, of either sort, are verified, and not kept yet."""
        both = (*self.under_way(expected), *self.under_way(expected, alone=True))
        return tuple(flight for flight in both if flight.held is not None)

    def join(self, expected: Expected, candidates: Sequence[Candidate], *, alone: bool = False) -> tuple[Flight, bool]:
        """The flight for these bytes, begun now if there is none; True where somebody else had begun one. ``alone``: of
        those that take nothing from others. Raises Crowded where too many are waiting already."""
        upstreams = tuple(dict.fromkeys(one.member.name for one in candidates))
        flights = self._flights.get(key_of(expected, alone=alone), {})
        joined = upstreams in flights if alone else bool(flights)
        if (flight := flights.get(upstreams)) is not None:
            flight.add(candidates)
        else:
            flight = self._begin(Flight(expected, upstreams, self._share, alone=alone), candidates)
        if joined:
            self._observer(Followed())
        return flight, joined

    def _begin(self, flight: Flight, candidates: Sequence[Candidate]) -> Flight:
        flight.add(candidates)
        self._shares.take(flight)
        self._flights.setdefault(flight.key, {})[flight.upstreams] = flight
        task = asyncio.create_task(self._fly(flight), name=f"flight {flight.key}")
        self._tasks[task] = flight
        task.add_done_callback(self._tasks.pop)
        return flight

    async def kept(self, expected: Expected) -> None:
        """Until these bytes, verified a moment ago, are durable and visible, or cannot be kept."""
        for flight in self.landed(expected):
            await flight.ended.wait()

    async def _fly(self, flight: Flight) -> None:
        self._observer(FlightBegan())
        try:
            await self._brought(flight)
            if flight.held is not None:
                await self._blame.clear(flight)
        except Failure as fault:
            self._cannot(flight, fault)
        except Exception:
            log.exception("a flight crashed", extra={"key": flight.expected.key})
        finally:
            # where nothing landed, no await between the last look for candidates and this: who comes now begins anew
            self._retire(flight)
            if flight.held is None and flight.fault is None and flight.candidates.next() is not None:
                flight.fault = Interrupted("the transfer was interrupted inside this gateway; try again")
            flight.grows(None, ())
            flight.tell()
            flight.ended.set()
            self._shares.give_back(flight)
            self._observer(FlightEnded())

    async def _brought(self, flight: Flight) -> None:
        """Until it has landed, whether or not it can be kept, or nobody is left to ask."""
        try:
            await self._behind(flight)
            while flight.held is None and flight.candidates.next() is not None:
                async with self._slots.turn(flight, lambda: self._wanted(flight)):
                    await self._filled(flight)
        except Failure as fault:
            self._cannot(flight, fault)
        else:
            if flight.held is None and flight.candidates.no_room:
                whose, failure = next(iter(flight.candidates.no_room.items()))
                self._cannot(flight, failure, whose)

    async def _behind(self, flight: Flight) -> None:
        """The transfers of others, without a turn or a file of its own."""
        if self._before(flight):
            flight.diary.asks("another upstream's transfer")
            flight.behind = True
            ended = await wait_behind(flight, lambda: self._before(flight))
            flight.behind = flight.elsewhere = False
            flight.diary.heard("did not bring it" if ended else "took too long")

    def _of_its_sort(self, flight: Flight) -> Sequence[Flight]:
        return self.under_way(flight.expected, alone=flight.alone)

    def _before(self, flight: Flight) -> Sequence[Flight]:
        if flight.alone:
            return ()
        flights = self.under_way(flight.expected)
        return flights[: flights.index(flight)]

    def _wanted(self, flight: Flight) -> bool:
        """By somebody who waits for it, or behind it."""
        behind = (one for one in self._of_its_sort(flight) if one.behind)
        return any(one.candidates.wanted for one in (flight, *behind))

    async def _filled(self, flight: Flight) -> None:
        """Until the bytes are kept, or nobody is left to ask at whom it has its slot."""
        theirs: FilledElsewhere | None = None
        while flight.held is None and self._next_here(flight) is not None:
            try:
                apart = flight.apart or flight.slot_at != flight.lead
                with flight.diary.meanwhile(THE_CACHE):
                    claim = await self._store.claim(flight.expected, flight.slot_at, apart=apart, anew=flight.alone)
                if claim.held is not None:
                    flight.land(claim.held, None)
                elif claim.elsewhere is not None:
                    theirs = theirs or FilledElsewhere(flight, apart=apart)
                    if not theirs.look(claim.elsewhere, watched=self._is_asked_here(flight)):
                        theirs = None
                    await asyncio.sleep(theirs.next_look if theirs is not None else LOOK_AGAIN)
                else:
                    assert claim.partial is not None
                    theirs, flight.elsewhere = None, False
                    flight.diary.heard("gave it up")
                    if upstreams_of(claim.partial) - {flight.slot_at}:
                        await claim.partial.leave(keep=True)  # it is for that upstream to go on with
                        flight.apart = True
                    else:
                        await self._into(flight, claim.partial)
            except StoreFailed as failure:
                flight.diary.heard(str(failure))
                if _small(flight):
                    await self._in_memory(flight, failure)
                elif isinstance(failure, NoRoom) and flight.held is None:
                    flight.candidates.lacks_room(flight.slot_at, failure)
                else:
                    raise

    async def _in_memory(self, flight: Flight, failure: StoreFailed) -> None:
        """What the disk does not take."""
        self._observer(Trouble("keep", _whose(flight), flight.expected.key, str(failure)))
        flight.kept = False
        try:
            async with self._slots.in_memory(flight):
                await self._into(flight, self._store.unkept(flight.expected))
        except Overtaken:
            flight.candidates.yields(flight.slot_at)

    def _is_asked_here(self, flight: Flight) -> bool:
        """Does another flight of this process ask the upstream at which this one has its slot?"""
        others = (one for one in self._of_its_sort(flight) if one is not flight)
        return any(one.slot_at == flight.slot_at and not (one.elsewhere or one.queue) for one in others)

    async def _into(self, flight: Flight, partial: Partial) -> None:
        """Returns once the bytes are right, once what came was thrown away, or when nobody is left to ask here."""
        keep, since = flight.expected.content is not None, partial.size
        try:
            partial.watch(flight.wake)
            flight.reads(partial)
            while flight.held is None and (candidate := self._next_here(flight)) is not None:
                flight.tell()
                before = partial.size
                try:
                    flight.current = None
                    if await self._asked(flight, candidate, partial):
                        return None
                except Overtaken:
                    pass
                except Lied as lie:
                    keep = await self._blame.lay(flight, candidate, partial, lie, since)
                    if not keep:
                        return flight.forget()
                except UpstreamFault as failure:
                    if not (keep and partial.size > before and flight.candidates.goes_on(candidate)):
                        flight.candidates.fail(candidate, failure)
                        self._tell(candidate, failure)
                if partial.size and flight.expected.unpacked is not None:
                    return None  # a package is taken whole: the gzip of another source is another one
        except StoreFailed:
            keep = False
            raise
        finally:
            flight.current = None
            await partial.leave(keep=keep and flight.held is None)
            flight.tell()

    def _tell(self, candidate: Candidate, failure: UpstreamFault) -> None:
        """A mirror is told of where it is not asked for a while: another source was asked instead."""
        if candidate.source.owner and not isinstance(failure, _NO_TROUBLE):
            want = candidate.want
            name = f"{want.repository}@{want.expected.digest}"
            self._observer(trouble_of(failure, "bytes", candidate.member.name, name, want.kind))

    def _share(self, flight: Flight) -> None:
        """Whoever fetches the same has it now, too. What an account brought, another upstream would have to send all
        the same: what that is sending already is not broken off for it."""
        private = any(one.member.private for one in flight.candidates if one.member.name == flight.brought_by)
        for one in self.under_way(flight.expected):
            sending = one.current is not None and flight.brought_by not in one.upstreams
            if one.held is None and flight.held is not None and not (private and sending):
                one.kept = flight.kept
                one.land(flight.held, None, flight.brought_by)

    @staticmethod
    def _next_here(flight: Flight) -> Candidate | None:
        """The next one, if the slot is one of its upstream's: who goes on to another must not keep it from others."""
        candidate = flight.candidates.next()
        return candidate if candidate is not None and candidate.member.name == flight.slot_at else None

    async def _asked(self, flight: Flight, candidate: Candidate, partial: Partial) -> bool:
        flight.diary.asks(candidate.source.upstream.name)
        try:
            return await self._fill(flight, candidate, partial)
        except (UpstreamFault, Overtaken) as ended:
            flight.diary.heard(ended.sentence)
            raise

    def _retire(self, flight: Flight) -> None:
        """Whoever comes from now on asks anew, rather than being told of failures of before."""
        flights = self._flights[flight.key]
        del flights[flight.upstreams]
        if not flights:
            del self._flights[flight.key]

    def _cannot(self, flight: Flight, fault: Failure, whose: str = "") -> None:
        """Told to everyone who waits; where the bytes have landed already, they are only not kept."""
        if flight.held is None:
            forget_calls(fault)
            flight.fault = fault
        self._observer(Trouble("keep", whose or _whose(flight), flight.expected.key, str(fault)))

    async def close(self) -> None:
        """Break off what is under way and wait until it has ended. What is verified is made durable: a client may have
        it already, and the gateway that comes next is to hold it too."""
        for task, flight in self._tasks.items():
            if flight.held is None:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _whose(flight: Flight) -> str:
    candidate = flight.winner or flight.candidates.next()
    return candidate.member.name if candidate is not None else flight.slot_at


def _small(flight: Flight) -> bool:
    """Is it to be held in memory, where the disk does not take it? Not what has landed, and is only not kept."""
    candidate = flight.candidates.next()
    if candidate is None or flight.held is not None:
        return False
    bounded = candidate.want.kind.document or flight.expected.unpacked is not None
    size = candidate.due if candidate.due is not None else flight.sizes.get(candidate.member.name)
    return bounded or (size is not None and size <= MAX_DOCUMENT)
