"""The transfers under way: one task each, which fills a partial from one candidate after the other, or reads along
while another process does."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from apprproxy.core.errors import (
    Crowded,
    Failure,
    Interrupted,
    Lied,
    NoRoom,
    NotOffered,
    NotThere,
    Shut,
    StoreFailed,
    Unauthorized,
    UpstreamFault,
)
from apprproxy.core.events import FlightBegan, FlightEnded, Followed, Observer, Trouble
from apprproxy.core.label import OWNER
from apprproxy.core.model import MAX_DOCUMENT, Expected
from apprproxy.core.ports.store import BlobStore, Elsewhere, Partial
from apprproxy.gateway.blame import Blame, upstreams_of
from apprproxy.gateway.candidates import Candidate
from apprproxy.gateway.flight import Flight
from apprproxy.gateway.guest import Stay, wait_behind
from apprproxy.gateway.pace import Overtaken
from apprproxy.gateway.places import Places

log = logging.getLogger(__name__)

BACK_AFTER = 5.0
"""Seconds after which to ask again, where too much is under way."""

WAITING = 10_000
"""Transfers in all, of which one upstream has a quarter. A client that asks for a million digests and leaves must not
fill the memory."""

LOOK_AGAIN, LOOK_LATER = 0.025, 0.25
"""Seconds between two looks at what another process does, for there is nobody who could wake us: at first, and where
nothing has come for long."""

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
        self._of: Counter[str] = Counter()
        self._places = Places()

    @property
    def waiting(self) -> int:
        """How many wait their turn."""
        return self._places.waiting

    def under_way(self, expected: Expected) -> Sequence[Flight]:
        """In the order in which they began: one for those who would ask the same upstreams in the same order."""
        return tuple(self._flights.get(expected.key, {}).values())

    def join(self, expected: Expected, candidates: Sequence[Candidate]) -> tuple[Flight, bool]:
        """The flight for these bytes, begun now if there is none; True where somebody else had begun one. Raises
        Crowded where too many are waiting already."""
        upstreams = tuple(dict.fromkeys(one.member.name for one in candidates))
        flights = self._flights.get(expected.key, {})
        joined = bool(flights)
        if (flight := flights.get(upstreams)) is not None:
            flight.add(candidates)
        else:
            flight = self._begin(Flight(expected, upstreams, self._share), candidates)
        if joined:
            self._observer(Followed())
        return flight, joined

    def _begin(self, flight: Flight, candidates: Sequence[Candidate]) -> Flight:
        key, flight.counted = flight.expected.key, self._room_for(flight)
        self._flights.setdefault(key, {})[flight.upstreams] = flight
        flight.add(candidates)
        self._of[flight.counted] += 1
        task = asyncio.create_task(self._fly(flight), name=f"flight {key}")
        self._tasks[task] = flight
        task.add_done_callback(self._tasks.pop)
        return flight

    def _room_for(self, flight: Flight) -> str:
        """The upstream among whose transfers it is counted: the first, or the next of a view, of whose share that
        leaves a half to its own clients. Raises Crowded."""
        share = WAITING // 4
        room = (one for one in flight.upstreams if self._of[one] < (share if one == flight.lead else share // 2))
        if len(self._tasks) >= WAITING or (counted := next(room, None)) is None:
            raise Crowded(f"too many transfers of {flight.lead} are waiting here", BACK_AFTER)
        return counted

    async def kept(self, expected: Expected) -> None:
        """Until these bytes, verified a moment ago, are durable and visible, or cannot be kept."""
        for flight in self.under_way(expected):
            if flight.held is not None:
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
            self._of[flight.counted] -= 1
            self._observer(FlightEnded())

    async def _brought(self, flight: Flight) -> None:
        """Until it has landed, whether or not it can be kept, or nobody is left to ask."""
        try:
            await self._behind(flight)
            while flight.held is None and flight.candidates.next() is not None:
                async with self._places.turn(flight, lambda: self._wanted(flight)):
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

    def _before(self, flight: Flight) -> Sequence[Flight]:
        flights = self.under_way(flight.expected)
        return flights[: flights.index(flight)]

    def _wanted(self, flight: Flight) -> bool:
        """By somebody who waits for it, or behind it."""
        behind = (one for one in self.under_way(flight.expected) if one.behind)
        return any(one.candidates.wanted for one in (flight, *behind))

    async def _filled(self, flight: Flight) -> None:
        """Until the bytes are kept, or nobody is left to ask at whom it has its place."""
        stay: Stay | None = None
        there, look = 0, LOOK_AGAIN
        while flight.held is None and self._may_ask(flight) is not None:
            try:
                apart = flight.apart or flight.place != flight.lead
                claim = await self._store.claim(flight.expected, flight.place, apart=apart)
                if claim.held is not None:
                    flight.land(claim.held, None)
                elif claim.elsewhere is not None:
                    stay = stay or Stay(flight)
                    mine = apart or _is_filled_by(claim.elsewhere, flight.place)
                    watched = self._is_asked_here(flight)
                    if not _read_along(flight, claim.elsewhere, stay, mine=mine, watched=watched):
                        stay = None
                        _go_on(flight, mine=mine)
                    look = LOOK_AGAIN if claim.elsewhere.growing.size > there else min(2 * look, LOOK_LATER)
                    there = claim.elsewhere.growing.size
                    await asyncio.sleep(look)
                else:
                    assert claim.partial is not None
                    stay, flight.elsewhere = None, False
                    flight.diary.heard("gave it up")
                    if upstreams_of(claim.partial) - {flight.place}:
                        await claim.partial.leave(keep=True)  # it is for that upstream to go on with
                        flight.apart = True
                    else:
                        await self._into(flight, claim.partial)
            except StoreFailed as failure:
                flight.diary.heard(str(failure))
                if not _small(flight):
                    if not isinstance(failure, NoRoom) or flight.held is not None:
                        raise
                    flight.candidates.no_room[flight.place] = failure
                    continue
                self._observer(Trouble("keep", _whose(flight), flight.expected.key, str(failure)))
                flight.kept = False
                try:
                    async with self._places.in_memory(flight):
                        await self._into(flight, self._store.unkept(flight.expected))
                except Overtaken:
                    flight.candidates.yields(flight.place)

    def _is_asked_here(self, flight: Flight) -> bool:
        """Does another flight of this process ask the upstream at which this one has its place?"""
        others = (one for one in self.under_way(flight.expected) if one is not flight)
        return any(one.place == flight.place and not (one.elsewhere or one.queue) for one in others)

    async def _into(self, flight: Flight, partial: Partial) -> None:
        """Returns once the bytes are right, once what came was thrown away, or when nobody is left to ask here."""
        keep, since = flight.expected.content is not None, partial.size
        try:
            partial.watch(flight.wake)
            flight.reads(partial)
            while flight.held is None and (candidate := self._may_ask(flight)) is not None:
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
            told = isinstance(failure, Unauthorized) and failure.presented
            name = f"{candidate.want.repository}@{candidate.want.expected.digest}"
            self._observer(Trouble("bytes", candidate.member.name, name, str(failure), told))

    def _share(self, flight: Flight) -> None:
        """Whoever fetches the same has it now, too."""
        for one in self.under_way(flight.expected):
            if one.held is None and flight.held is not None:
                one.kept = flight.kept
                one.land(flight.held, None)

    @staticmethod
    def _may_ask(flight: Flight) -> Candidate | None:
        """The next one, if the place is one of its upstream's: who goes on to another must not keep it from others."""
        candidate = flight.candidates.next()
        return candidate if candidate is not None and candidate.member.name == flight.place else None

    async def _asked(self, flight: Flight, candidate: Candidate, partial: Partial) -> bool:
        flight.diary.asks(candidate.source.upstream.name)
        try:
            return await self._fill(flight, candidate, partial)
        except (UpstreamFault, Overtaken) as ended:
            flight.diary.heard(ended.sentence)
            raise

    def _retire(self, flight: Flight) -> None:
        """Whoever comes from now on asks anew, rather than being told of failures of before."""
        flights = self._flights[flight.expected.key]
        del flights[flight.upstreams]
        if not flights:
            del self._flights[flight.expected.key]

    def _cannot(self, flight: Flight, fault: Failure, whose: str = "") -> None:
        """Told to everyone who waits; where the bytes have landed already, they are only not kept."""
        if flight.held is None:
            flight.fault = fault
        self._observer(Trouble("keep", whose or _whose(flight), flight.expected.key, str(fault)))

    async def close(self) -> None:
        """Break off what is under way and wait until it has ended. What is verified is made durable: a client may have
        it already, and the gateway that comes next is to hold it too."""
        for task, flight in self._tasks.items():
            if flight.held is None:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _is_filled_by(elsewhere: Elsewhere, upstream: str) -> bool:
    return bool(elsewhere.parts) and elsewhere.parts[-1].upstream == upstream


def _read_along(flight: Flight, elsewhere: Elsewhere, stay: Stay, *, mine: bool, watched: bool) -> bool:
    """Another process is at it, or another flight of this one; False where it is not to be waited for any longer.
    ``mine``: with what the upstream sends at which this one has its place. ``watched``: that is asked in this process,
    and so ends by itself."""
    there = elsewhere.growing.size
    flight.answered = flight.answered or there > 0
    if not flight.elsewhere:
        flight.diary.asks("another upstream's transfer" if watched else "another process")
    _told_by(flight, elsewhere)
    flight.grows(elsewhere.growing, elsewhere.parts, elsewhere.size)
    alone = mine and not flight.candidates.others(flight.place)
    over = stay.is_over(there, None if mine else flight.due, ours=alone)
    return not over or (alone and watched)


def _go_on(flight: Flight, *, mine: bool) -> None:
    """With another member, as if this one's had been asked here; else apart. Raises StoreFailed where it is that."""
    flight.elsewhere = False
    if mine and flight.candidates.others(flight.place):
        flight.candidates.yields(flight.place)
        flight.diary.heard("took too long")
        return
    if flight.apart:
        raise StoreFailed("another process of this cache has begun the file, and does not go on with it")
    flight.apart = True
    flight.diary.heard("did not go on with it")


def _told_by(flight: Flight, elsewhere: Elsewhere) -> None:
    """The size, where it has that from an owner."""
    flight.elsewhere = True
    if elsewhere.parts and elsewhere.due is not None and elsewhere.parts[-1].source == OWNER:
        flight.sizes[elsewhere.parts[-1].upstream] = elsewhere.due


def _whose(flight: Flight) -> str:
    candidate = flight.winner or flight.candidates.next()
    return candidate.member.name if candidate is not None else flight.place


def _small(flight: Flight) -> bool:
    """Is it to be held in memory, where the disk does not take it? Not what has landed, and is only not kept."""
    candidate = flight.candidates.next()
    if candidate is None or flight.held is not None:
        return False
    bounded = candidate.want.kind.document or flight.expected.unpacked is not None
    size = candidate.due if candidate.due is not None else flight.sizes.get(candidate.member.name)
    return bounded or (size is not None and size <= MAX_DOCUMENT)
