"""The first digest seen for a release is kept, whatever its upstream says later, unless the terms follow it.

An upstream documents a release as immutable and enforces it nowhere (a forced push, delete and push again), so a
change is either a mistake that should be seen or an attack that should not succeed.
"""

from collections.abc import Mapping

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Move, StoreFailed
from apprproxy.core.events import NameMoved, Trouble
from apprproxy.core.model import FirstSeen
from apprproxy.core.ports import Clock, FirstSeens, Observer
from apprproxy.gateway.member import Member


class Pins:
    def __init__(self, seen: FirstSeens, observer: Observer, now: Clock) -> None:
        self._seen = seen
        self._observer = observer
        self._now = now

    async def settle(self, member: Member, claims: Mapping[str, Digest], as_of: int) -> dict[str, Digest]:
        """Remember what is new among the claims; returns the pins whose first digest stands against the claim.

        ``as_of`` is the names' generation in which the claims were asked for.
        """
        known = await self._seen.first_seen(member.name, claims)
        changed: dict[str, FirstSeen] = {}
        standing: dict[str, Digest] = {}
        for pin, claim in claims.items():
            first = known.get(pin)
            if first is None:
                changed[pin] = FirstSeen(claim, self._now())
            elif first.digest == claim:
                if first.moved_to is not None:  # moved away and back again
                    changed[pin] = FirstSeen(claim, first.at)
            elif member.terms.moved == "follow":
                changed[pin] = FirstSeen(claim, self._now())
                self._observer(NameMoved(member.name, pin, first.digest, claim, followed=True))
            else:
                standing[pin] = first.digest
                if first.moved_to != claim:
                    changed[pin] = FirstSeen(first.digest, first.at, moved_to=claim)
                    self._observer(NameMoved(member.name, pin, first.digest, claim, followed=False))
        if changed:
            await self._remember(member, changed, as_of)
        return standing

    async def _remember(self, member: Member, changed: Mapping[str, FirstSeen], as_of: int) -> None:
        """A full disk costs that the next answer is the first again, never a client's pull."""
        try:
            await self._seen.set_first_seen(member.name, changed, as_of)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, next(iter(changed)), str(failure)))

    async def move(self, upstream: str, pin: str) -> Move | None:
        """How the pin moved, if it did and its first digest stands."""
        first = (await self._seen.first_seen(upstream, [pin])).get(pin)
        if first is None or first.moved_to is None:
            return None
        return Move(f"{upstream}/{pin}", first.digest, first.moved_to)
