"""How many transfers may be under way and wait: in all, of each upstream, and of its blobs."""

from collections import Counter

from apprproxy.core.errors import Crowded
from apprproxy.gateway.flights.flight import Flight

IN_ALL = 10_000
"""Of which one upstream has a quarter. A client that asks for a million digests and leaves must not fill the memory."""

ITS_OWN = 100
"""Of documents, and nearly as many of blobs, an upstream has room for, however many others have."""

BACK_AFTER = 5.0
"""Seconds after which to ask again, where too much is under way."""


class Shares:
    """Each flight has a place among those of one upstream, from ``take`` to ``give_back``."""

    def __init__(self) -> None:
        self._of = Counter[str]()
        self._guests = Counter[str]()
        """Of these, what another leads."""

    def take(self, flight: Flight) -> None:
        """It is counted among those of its first upstream or, where there is no room, of a later one in a view, which
        keeps a half of its share for its own clients. Blobs leave a fifth to documents. Raises Crowded."""
        crowded = self._of.total() >= IN_ALL
        share = min(IN_ALL // 4, ITS_OWN) if crowded else IN_ALL // 4
        if not flight.brief:
            share -= share // 5
        guests = self._guests[flight.lead] if crowded else 0  # they may wait for the one that leads them
        room = (
            one for one in flight.upstreams if self._of[one] < (share + guests if one == flight.lead else share // 2)
        )
        if (counted := next(room, None)) is None:
            raise Crowded(f"too many transfers of {flight.lead} are waiting here", BACK_AFTER)
        flight.counted = counted
        self._of[counted] += 1
        self._guests[counted] += counted != flight.lead

    def give_back(self, flight: Flight) -> None:
        self._of[flight.counted] -= 1
        self._guests[flight.counted] -= flight.counted != flight.lead
