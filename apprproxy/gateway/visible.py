"""Who may see which bytes: decided for each repository before what is held or on its way is looked at.

Bytes are shared by all who may see them. A repository shows a blob that came here through it, that a manifest of it
names and the same upstream sent, or that its owner says it has there, if that upstream has sent it before or everybody
may have it. A manifest, or the word of an owner, proves nothing about what somebody else's account brought: then it is
fetched in that owner's name as if it were not here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from apprproxy.core.errors import Exhausted, StoreFailed, UpstreamFault
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import BlobWant, NameWant
from apprproxy.core.ports.store import Index
from apprproxy.gateway.flights.pace import turn_after
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.names.lookup import Named

Confirm = Callable[[Member, NameWant], Awaitable[Named]]
"""Does the owner have it there? Raises an UpstreamFault if not, or if it cannot be asked."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose bytes somebody may be given, beside what comes in the very name in which they ask: those that the
    ``upstreams`` send for whichever repository, whose owners say that they have them in this one; or ``all``."""

    upstreams: frozenset[str] = frozenset()
    all: bool = False

    def of(self, upstream: str) -> bool:
        return self.all or upstream in self.upstreams


NOTHING, EVERYTHING = Sight(), Sight(all=True)


class Visible:
    def __init__(self, index: Index, confirm: Confirm) -> None:
        self._index = index
        self._confirm = confirm

    async def known(self, member: Member, want: BlobWant) -> bool:
        """Without asking anybody. What the index cannot tell is not known, and so its owner is asked."""
        try:
            return await self._index.shows(member.where(want.repository), want.expected.key)
        except StoreFailed:
            return False

    async def sight(self, members: Sequence[Member], want: BlobWant) -> tuple[Member, Sight]:
        """The first of them through which it may be seen, and what of it; raises what ``among`` raises."""
        member = await self.among(members, want)
        if await self.known(member, want):
            return member, EVERYTHING
        with suppress(StoreFailed):
            if await self._index.believed(member.where(want.repository), want.expected.key):
                return member, EVERYTHING
        return member, Sight(frozenset([member.name]))

    async def confirmed(self, member: Member, want: BlobWant) -> int | None:
        """The owner says that it has it there; returns the size that it tells, of which zero is none: some say so to
        every HEAD.

        Raises a Failure.
        """
        named = await self._confirm(member, want.presence)
        with suppress(StoreFailed):  # then it is asked again
            await self._index.shown(member.where(want.repository), want.expected.key, CLAIMED)
        size = named.record.target.size
        return size if size > 0 else None

    async def among(self, members: Sequence[Member], want: BlobWant) -> Member:
        """The first of them that is known to have it, or says so. Whoever has not answered within a turn is waited for
        after the others. Raises Exhausted, NotHeld or Denied."""
        failures: list[UpstreamFault] = []
        silent: list[Member] = []
        for member in members:
            if await self.known(member, want):
                return member
        for member in members:
            try:
                async with asyncio.timeout(turn_after(0) if member is not members[-1] else None):
                    if await self._shows(member, want, failures):
                        return member
            except TimeoutError:
                silent.append(member)  # the question goes on
        for member in silent:
            if await self._shows(member, want, failures):
                return member
        raise Exhausted(failures)

    async def _shows(self, member: Member, want: BlobWant, failures: list[UpstreamFault]) -> bool:
        """As its owner says; why not is added to the ``failures``. Raises an OurFault or Denied."""
        try:
            await self.confirmed(member, want)
        except UpstreamFault as failure:
            failures.append(failure)
            return False
        return True
