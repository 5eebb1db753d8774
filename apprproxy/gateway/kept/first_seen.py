"""The first digest seen for a release is kept, whatever its upstream says later, unless the terms follow it.

An upstream documents a release as immutable and enforces it nowhere (a forced push, delete and push again), so a
change is either a mistake that should be seen or an attack that should not succeed. What was pushed through here is
neither; that an upstream says it took a push is no word on any other content.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Lied, Move, Moved, NotThere, StoreFailed
from apprproxy.core.events import NameMoved, Observer, Trouble
from apprproxy.core.model import BlobWant, Clock, FirstSeen, Found
from apprproxy.core.ports.store import FirstSeens
from apprproxy.gateway.members.member import Member


@dataclass(frozen=True, slots=True)
class Settled:
    """``standing`` has the titles whose first digest stands against the claim. ``apart``: what an alias means is not
    what its title stands for."""

    standing: Mapping[str, Digest] = field(default_factory=dict)
    apart: bool = False


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

    async def settle(self, member: Member, found: Found, as_of: int) -> Settled:
        """Remember what is new among the titles.

        ``as_of`` is the names' generation in which they were asked for. Raises StoreFailed where what was seen first
        cannot be read, unless whatever comes is taken anyway.
        """
        if not found.titles:
            return Settled()
        try:
            settled = None
            while settled is None:
                settled = await self._settled(member, found, as_of)
        except StoreFailed as failure:
            if member.terms.moved != "follow":
                raise
            self._observer(Trouble("names", member.name, next(iter(found.titles)), str(failure)))
            return Settled()
        return settled

    async def _settled(self, member: Member, found: Found, as_of: int) -> Settled | None:
        """Each title for itself; then its alias, which goes along where it meant what was replaced, and is settled like
        a title where it was asked for. None where another answer, here or in another process, was the first to be
        remembered meanwhile: of two at once, that one stands for both, and for an alias, which is remembered last."""
        before = dict(await self._seen.first_seen(member.name, found.titles))
        after = {title: self._claimed(member, title, before.get(title), claim) for title, claim in found.titles.items()}
        replaced = {title for title in before if after[title].digest != before[title].digest}
        aliases = {title: alias for title, alias in found.aliases.items() if title in replaced or alias == found.alias}
        before |= await self._seen.first_seen(member.name, set(aliases.values()))
        for title in replaced & aliases.keys():
            meant = before.get(aliases[title])
            if meant is not None and meant.digest == before[title].digest:  # the same, and so it goes along
                after[aliases[title]] = replace(after[title], pushed=meant.pushed)
        if found.alias:
            (title,) = found.titles
            meant = after.get(found.alias, before.get(found.alias))
            after[found.alias] = self._claimed(member, found.alias, meant, after[title].digest)
        changed = {one: first for one, first in after.items() if first != before.get(one)}
        titles = {one: first for one, first in changed.items() if one in found.titles}
        for some in (titles, {one: first for one, first in changed.items() if one not in titles}):
            if not await self._remember(member, some, some.keys() - before.keys(), as_of):
                return None
        stands = {title: after[found.alias or title].digest for title in found.titles}
        standing = {title: digest for title, digest in stands.items() if digest != found.titles[title]}
        return Settled(standing, apart=any(after[title].digest != digest for title, digest in stands.items()))

    def _claimed(self, member: Member, title: str, first: FirstSeen | None, claim: Digest) -> FirstSeen:
        """What is remembered of it from now on, where so much is claimed of it; a move is told."""
        if first is not None and first.digest == claim:
            return replace(first, moved_to=None)  # also where it moved away and back again
        if first is None or first.pushed == claim:
            return FirstSeen(claim, self._now())
        follows = member.terms.moved == "follow"
        if follows or first.moved_to != claim:
            self._observer(NameMoved(member.name, title, first.digest, claim, followed=follows))
        return FirstSeen(claim, self._now()) if follows else replace(first, moved_to=claim)

    async def _remember(
        self, member: Member, changed: Mapping[str, FirstSeen], new: Collection[str], as_of: int
    ) -> bool:
        """Were the new ones the first? A full disk costs that the next answer is the first again, never a client's
        pull."""
        if not changed:
            return True
        try:
            return await self._seen.set_first_seen(member.name, changed, as_of, new)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, next(iter(changed)), str(failure)))
            return True

    async def explain(self, want: BlobWant, failed: Exhausted) -> None:
        """Raise Moved where the bytes are nowhere because the release that named them moved, whether or not others hold
        them here."""
        if not all(isinstance(failure, NotThere) for failure in failed.failures):
            return
        for upstream, title in product(want.place.members, want.titles):
            move = await self.move(upstream, title)
            if move is not None and move.first == want.expected.digest:
                raise Moved(move) from failed

    async def move(self, upstream: str, title: str) -> Move | None:
        """How the title moved, if it did and its first digest stands."""
        first = (await self._seen.first_seen(upstream, [title])).get(title)
        if first is None or first.moved_to is None:
            return None
        return Move(f"{upstream}/{title}", first.digest, first.moved_to)
