"""How long whoever wants bytes waits while somebody else brings them in.

A digest is shared by upstreams, and by processes, that have nothing else to do with each other: one transfer is enough
for all as long as it goes well, and none must keep it from another's clients. So a guest stays for as long as whom it
would ask first is the one that sends; with another upstream's it stays while that is quick, and never for long. A view
makes no difference between them: its next member could be asked.
"""

import asyncio
from collections.abc import Callable, Sequence

from apprproxy.core.errors import StoreFailed
from apprproxy.core.label import OWNER
from apprproxy.core.ports.store import Elsewhere
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.pace import LEAST, LONGEST, LOOK, longer

STANDS_STILL = 15.0
"""Seconds without a byte of our own upstream: the process that has the file may be suspended."""


LOOK_AGAIN, LOOK_LATER = 0.025, 0.25
"""Seconds between two looks at what another process does, for there is nobody who could wake us: at first, and where
nothing has come for long."""


class Stay:
    """How long a flight stays with one transfer of somebody else's: not long where it is a document's, for which a
    question about a name waits."""

    def __init__(self, flight: Flight) -> None:
        self._look = LOOK * longer(flight.candidates.rounds)
        self._longest = LOOK if flight.brief else LONGEST * longer(flight.candidates.rounds)
        self._began = self._since = asyncio.get_running_loop().time()
        self._there = 0

    def is_over(self, there: int, due: int | None, *, ours: bool) -> bool:
        """``there`` is how much has come by now, of ``due`` where that is known; ``ours``: from the only one whom we
        would ask."""
        now = asyncio.get_running_loop().time()
        least, quick = (1, STANDS_STILL) if ours else (LEAST * self._look, self._look)
        if not 0 <= there - self._there < least:
            self._there, self._since = there, now
        if now - self._since > quick:
            return True
        return not ours and (now - self._began > self._longest or (due is not None and there > due))


class FilledElsewhere:
    """A flight's own file, filled by another process, or by another flight of this one. ``apart``: it is a file that
    only those who would ask the same upstream have."""

    def __init__(self, flight: Flight, *, apart: bool) -> None:
        self._flight = flight
        self._apart = apart
        self._stay = Stay(flight)
        self._there = 0
        self.next_look = LOOK_AGAIN

    def look(self, elsewhere: Elsewhere, *, watched: bool) -> bool:
        """Reads along, and says whether to wait any longer. If not, the flight goes on with another member, as if this
        one's had been asked here, or apart. ``watched``: who sends is asked in this process, and so ends by itself.
        Raises StoreFailed where it is apart."""
        flight, there = self._flight, elsewhere.growing.size
        self.next_look = LOOK_AGAIN if there > self._there else min(2 * self.next_look, LOOK_LATER)
        self._there = there
        mine = self._apart or _is_filled_by(elsewhere, flight.slot_at)
        flight.answered = flight.answered or there > 0
        if not flight.elsewhere:
            flight.diary.asks("another upstream's transfer" if watched else "another process")
        _told_by(flight, elsewhere)
        flight.grows(elsewhere.growing, elsewhere.parts, elsewhere.size)
        others = flight.candidates.others(flight.slot_at)
        alone = mine and not others
        if not self._stay.is_over(there, None if mine else flight.due, ours=alone) or (alone and watched):
            return True
        flight.elsewhere = False
        if mine and others:
            flight.candidates.yields(flight.slot_at)
            flight.diary.heard("took too long")
        elif flight.apart:
            raise StoreFailed("another process of this cache has begun the file, and does not go on with it")
        else:
            flight.apart = True
            flight.diary.heard("did not go on with it")
        return False


def _is_filled_by(elsewhere: Elsewhere, upstream: str) -> bool:
    return bool(elsewhere.parts) and elsewhere.parts[-1].upstream == upstream


def _told_by(flight: Flight, elsewhere: Elsewhere) -> None:
    """The size, where it has that from an owner."""
    flight.elsewhere = True
    if elsewhere.parts and elsewhere.due is not None and elsewhere.parts[-1].source == OWNER:
        flight.sizes[elsewhere.parts[-1].upstream] = elsewhere.due


# --- in this process


async def wait_behind(flight: Flight, before: Callable[[], Sequence[Flight]]) -> bool:
    """Behind the transfers of the same bytes in this process that began earlier, until one has landed or all have
    failed; False where it is time to go on apart from them."""
    known: dict[Flight, Stay] = {}
    while hosts := before():
        if (landed := next((one for one in hosts if one.held is not None), None)) is not None:
            assert landed.held is not None
            flight.kept = landed.kept
            flight.land(landed.held, None, landed.brought_by)
            return True
        known = {host: known.get(host) or Stay(flight) for host in hosts}
        for host in hosts:
            if host.current is not None and host.current.member.name == flight.lead:
                _read_along(flight, host)
        if all(_is_over(mine, flight, host) for host, mine in known.items()):
            _go_on(flight, hosts)
            return False
        await _change(hosts)
    return True


def _is_over(stay: Stay, flight: Flight, host: Flight) -> bool:
    """Not of a transfer from the only upstream that could be asked: its source is watched here, so that it ends by
    itself, and what waits in a queue of that upstream is not slow."""
    ours = _at(host) == flight.lead and not flight.candidates.others(flight.lead)
    return stay.is_over(host.arrived, flight.due, ours=ours) and not ours


def _at(host: Flight) -> str:
    """Who sends to it, or is asked, or in whose queue it waits."""
    return host.current.member.name if host.current is not None else host.queue or host.slot_at


def _read_along(flight: Flight, host: Flight) -> None:
    """Whoever waits may be given what the upstream that it would ask first sends, to whomever."""
    flight.elsewhere = flight.answered = True
    if (size := host.sizes.get(flight.lead)) is not None:
        flight.sizes.setdefault(flight.lead, size)
    flight.grows(host.growing, host.parts, host.arrived)


def _go_on(flight: Flight, hosts: Sequence[Flight]) -> None:
    """With the next member, where the first has had its turn with one of these; what that one is filling is come back
    to. Else apart from them."""
    if any(_at(host) == flight.lead for host in hosts):
        flight.candidates.yields(flight.lead)
    else:
        flight.apart = True


async def _change(hosts: Sequence[Flight]) -> None:
    """Until something has happened with one of them, and no longer than until the next look."""
    changes = [asyncio.ensure_future(host.changed()) for host in hosts]
    try:
        await asyncio.wait(changes, timeout=LOOK / 4, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for change in changes:
            change.cancel()
