"""The first digest seen for a release is kept, whatever its upstream says later, unless the terms follow it.

An upstream documents a release as immutable and enforces it nowhere (a forced push, delete and push again), so a
change is either a mistake that should be seen or an attack that should not succeed. What was pushed through here is
neither; that an upstream says it took a push is no word on any other content.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Lied, Move, StoreFailed
from apprproxy.core.events import NameMoved, Observer, Trouble
from apprproxy.core.model import Clock, FirstSeen
from apprproxy.core.ports.store import FirstSeens
from apprproxy.gateway.members.member import Member


class FirstSeenDigests:
    def __init__(self, seen: FirstSeens, observer: Observer, now: Clock) -> None:
        self._seen = seen
        self._observer = observer
        self._now = now

    async def refuse_others(self, member: Member, passed_over: Collection[str]) -> None:
        """A name that was seen is not answered with another: under that one, its bytes would be free to move. Raises
        Lied."""
        if member.terms.moved == "follow" or not passed_over:
            return
        for title in await self._seen.first_seen(member.name, passed_over):
            raise Lied(member.name, f"answered for another release where {title!r} was asked for, which it had")

    async def settle(
        self, member: Member, claims: Mapping[str, Digest], as_of: int, alias: str = ""
    ) -> dict[str, Digest]:
        """Remember what is new among the claims; returns the titles whose first digest stands against the claim.

        ``as_of`` is the names' generation in which the claims were asked for; ``alias`` as in Found. Raises StoreFailed
        where what was seen first cannot be read, unless whatever comes is taken anyway.
        """
        if not claims:
            return {}
        try:
            known = await self._seen.first_seen(member.name, [*claims, *([alias] if alias else [])])
        except StoreFailed as failure:
            if member.terms.moved != "follow":
                raise
            self._observer(Trouble("names", member.name, next(iter(claims)), str(failure)))
            return {}
        changed: dict[str, FirstSeen] = {}
        standing: dict[str, Digest] = {}
        for title, claim in claims.items():
            stands = self._settled(member, title, known.get(title), claim)
            changed |= {title: stands} if stands != known.get(title) else {}
            standing |= {title: stands.digest} if stands.digest != claim else {}
        if alias and member.terms.moved != "follow":
            ((title, claim),) = claims.items()
            stands = self._settled(member, alias, known.get(alias), standing.get(title, claim))
            changed |= {alias: stands} if stands != known.get(alias) else {}
            standing = {title: stands.digest} if stands.digest != claim else {}
        if changed:
            await self._remember(member, changed, as_of)
        return standing

    def _settled(self, member: Member, title: str, first: FirstSeen | None, claim: Digest) -> FirstSeen:
        """What is remembered of it from now on."""
        if first is not None and first.digest == claim:
            return replace(first, moved_to=None)  # also where it moved away and back again
        if first is None or first.pushed == claim:
            return FirstSeen(claim, self._now())
        follows = member.terms.moved == "follow"
        if follows or first.moved_to != claim:
            self._observer(NameMoved(member.name, title, first.digest, claim, followed=follows))
        return FirstSeen(claim, self._now()) if follows else replace(first, moved_to=claim)

    async def _remember(self, member: Member, changed: Mapping[str, FirstSeen], as_of: int) -> None:
        """A full disk costs that the next answer is the first again, never a client's pull."""
        try:
            await self._seen.set_first_seen(member.name, changed, as_of)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, next(iter(changed)), str(failure)))

    async def move(self, upstream: str, title: str) -> Move | None:
        """How the title moved, if it did and its first digest stands."""
        first = (await self._seen.first_seen(upstream, [title])).get(title)
        if first is None or first.moved_to is None:
            return None
        return Move(f"{upstream}/{title}", first.digest, first.moved_to)
