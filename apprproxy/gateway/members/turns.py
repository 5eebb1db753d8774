"""How many things of a sort are under way at once for each upstream, measured by the connections that it may have."""

from collections.abc import Callable

from apprproxy.core.ports.upstream import beside
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.turnstile import Turnstile

Share = Callable[[int], int]
"""Of an upstream's connections, how many this sort may take."""


def transfers(connections: int) -> int:
    """Those that everybody shares: one that has its turn has a connection."""
    return connections


def half_of_those_beside(connections: int) -> int:
    """Two sorts of single clients divide them: parts, and bytes that cannot be kept."""
    return beside(connections) // 2


class Turns:
    def __init__(self, share: Share) -> None:
        self._share = share
        self._turnstiles: dict[tuple[str, str], Turnstile] = {}

    def of(self, member: Member, sort: str = "") -> Turnstile:
        """Whoever waits for it has nothing open yet."""
        key = (member.name, sort)
        turnstile = self._turnstiles.get(key)
        if turnstile is None:
            turnstile = self._turnstiles[key] = Turnstile(self._share(member.connections))
        return turnstile
