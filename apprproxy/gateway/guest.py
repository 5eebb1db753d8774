"""How long whoever wants bytes waits while somebody else brings them in.

A digest is shared by upstreams, and by processes, that have nothing else to do with each other: one transfer is enough
for all as long as it goes well, and none must keep it from another's clients. So a guest stays for as long as whom it
would ask first is the one that sends; with another upstream's it stays while that is quick, and never for long.
"""

import asyncio
from collections.abc import Callable, Sequence

from apprproxy.gateway.flight import Flight
from apprproxy.gateway.pace import LEAST, LOOK

STANDS_STILL = 15.0
"""Seconds without a byte of our own upstream: the process that has the file may be suspended."""
LONGEST = 30.0
"""Seconds with another upstream, however quick it is: it may be garbage without an end."""


class Patience:
    """With one transfer of somebody else's. ``due`` is the size that it should have, where that is known."""

    def __init__(self) -> None:
        self._began = self._since = asyncio.get_running_loop().time()
        self._there = 0

    def is_over(self, there: int, due: int | None, *, ours: bool) -> bool:
        """``there`` is how much has come by now; ``ours``: from whom we would ask first."""
        now = asyncio.get_running_loop().time()
        least, quick = (1, STANDS_STILL) if ours else (LEAST * LOOK, LOOK)
        if not 0 <= there - self._there < least:
            self._there, self._since = there, now
        if now - self._since > quick:
            return True
        return not ours and (now - self._began > LONGEST or (due is not None and there > due))


async def stay(flight: Flight, before: Callable[[], Sequence[Flight]]) -> bool:
    """Behind the transfers of the same bytes in this process that began earlier, until one has landed or all have
    failed; False where it is time to go on apart from them."""
    known: dict[Flight, Patience] = {}
    members = {one.member.name for one in flight.candidates}
    while hosts := before():
        if (landed := next((one.held for one in hosts if one.held is not None), None)) is not None:
            flight.land(landed, None)
            return True
        known = {host: known.get(host) or Patience() for host in hosts}
        for host in hosts:
            if host.current is not None and host.current.member.name in members:
                _read_along(flight, host, host.current.member.name)
        if all(_is_over(patience, flight, host) for host, patience in known.items()):
            return False
        await _change(hosts)
    return True


def _is_over(patience: Patience, flight: Flight, host: Flight) -> bool:
    """One of ours ends by itself: its source is watched here."""
    ours = host.current is not None and host.current.member.name == flight.lead
    return patience.is_over(host.arrived, flight.due, ours=ours) and not ours


def _read_along(flight: Flight, host: Flight, upstream: str) -> None:
    """Whoever waits may be given what its own upstream sends, to whomever."""
    flight.elsewhere = flight.answered = True
    if (size := host.sizes.get(upstream)) is not None:
        flight.sizes.setdefault(upstream, size)
    flight.grows(host.growing, host.parts, host.arrived)
    flight.wake()


async def _change(hosts: Sequence[Flight]) -> None:
    """Until something has happened with one of them, and no longer than until the next look."""
    changes = [asyncio.ensure_future(host.changed()) for host in hosts]
    try:
        await asyncio.wait(changes, timeout=LOOK / 4, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for change in changes:
            change.cancel()
