"""At most one transfer per digest, however many ask; and failure is never shared.

- A flight tries candidates one after the other. Whoever joins adds its own (another repository, another upstream).
- A waiter is told of success, or of the failure of *its own* candidates: another repository's 404 is not its 404.
- A waiter that leaves ends only its own wait; the flight goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from apprproxy.core.errors import Exhausted, Failure, Interrupted, UpstreamFault
from apprproxy.core.events import FlightBegan, FlightEnded, Followed, Trouble
from apprproxy.core.model import BlobWant, Expected
from apprproxy.core.ports import Held, Observer
from apprproxy.gateway.member import Member

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source to ask, in one repository. Equal candidates ask the same question."""

    member: Member
    want: BlobWant

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.member.name, self.want.repository, self.want.kind)


Fill = Callable[["Flight", Candidate, "Landed"], Awaitable[None]]
Landed = Callable[[Held], None]


class Flight:
    """One transfer. ``size`` is known once an owner's headers have come."""

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.size = expected.size
        self.held: Held | None = None
        self.origin = ""
        self.before = ""
        self.fault: Failure | None = None
        self.failures: dict[tuple[str, str, str], UpstreamFault] = {}
        self._candidates: dict[tuple[str, str, str], Candidate] = {}
        self._changed = asyncio.Event()
        self.ended = asyncio.Event()

    def add(self, candidates: tuple[Candidate, ...]) -> None:
        for candidate in candidates:
            self._candidates.setdefault(candidate.key, candidate)

    def next(self) -> Candidate | None:
        """The first candidate that has not failed."""
        return next((one for key, one in self._candidates.items() if key not in self.failures), None)

    def tell(self) -> None:
        """Wake everyone who waits, to look at what has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def sized(self) -> None:
        """Until the size is known; for ever where no source tells it."""
        while self.size is None:
            await self._changed.wait()

    async def wait(self, candidates: tuple[Candidate, ...]) -> Held:
        """Until the bytes are verified; raises Exhausted once all of ``candidates`` have failed, or this gateway's own
        failure (StoreFailed)."""
        while self.held is None:
            if self.fault is not None:
                raise self.fault
            failures = [self.failures[one.key] for one in candidates if one.key in self.failures]
            if len(failures) == len(candidates):
                raise Exhausted(failures)
            await self._changed.wait()
        return self.held


class Flights:
    """The flights under way, by what is expected. ``close`` ends them."""

    def __init__(self, fill: Fill, observer: Observer) -> None:
        self._fill = fill
        self._observer = observer
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def under_way(self, expected: Expected) -> Flight | None:
        return self._flights.get(expected.key)

    def join(self, expected: Expected, candidates: tuple[Candidate, ...]) -> tuple[Flight, bool]:
        """The flight for these bytes, begun now if there is none; True where somebody else had begun it."""
        flight = self._flights.get(expected.key)
        joined = flight is not None
        if flight is None:
            flight = self._flights[expected.key] = Flight(expected)
            flight.add(candidates)
            task = asyncio.create_task(self._fly(flight), name=f"flight {expected.key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            flight.add(candidates)
            self._observer(Followed(expected.key))
        return flight, joined

    def landed(self, expected: Expected) -> bool:
        """Are these bytes verified, though perhaps not visible in the store yet?"""
        flight = self._flights.get(expected.key)
        return flight is not None and flight.held is not None

    async def kept(self, expected: Expected) -> None:
        """Until these bytes, verified a moment ago, are durable and visible, or cannot be kept."""
        flight = self._flights.get(expected.key)
        if flight is not None:
            await flight.ended.wait()

    async def _fly(self, flight: Flight) -> None:
        key = flight.expected.key
        self._observer(FlightBegan(key))
        try:
            while (candidate := flight.next()) is not None:
                await self._try(flight, candidate)
                if flight.held is not None or flight.fault is not None:
                    break
        except Exception:
            log.exception("a flight crashed", extra={"key": key})
        finally:
            # no await between the last look for candidates and this: whoever comes now begins a new flight
            del self._flights[key]
            if flight.held is None and flight.fault is None and flight.next() is not None:
                flight.fault = Interrupted("the transfer was interrupted inside this gateway; try again")
            flight.tell()
            flight.ended.set()
            self._observer(FlightEnded(key))

    async def _try(self, flight: Flight, candidate: Candidate) -> None:
        def landed(held: Held) -> None:
            flight.held, flight.origin = held, candidate.member.name
            flight.tell()

        try:
            await self._fill(flight, candidate, landed)
        except UpstreamFault as failure:
            flight.failures[candidate.key] = failure
            flight.tell()
        except Failure as fault:
            if flight.held is None:
                flight.fault = fault
            else:
                self._observer(Trouble("keep", candidate.member.name, flight.expected.key, str(fault)))

    async def close(self) -> None:
        """Break off what is under way and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
