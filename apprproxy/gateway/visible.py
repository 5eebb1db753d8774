"""Who may see which bytes: decided for each repository before what is held or on its way is looked at.

Bytes are shared by all who may see them. A repository shows a blob that came here through it, that its owner said it
has there, or that a manifest of it names and the same upstream sent; a manifest alone proves nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from apprproxy.core.errors import Exhausted, StoreFailed, UpstreamFault
from apprproxy.core.model import BlobWant, NameWant
from apprproxy.core.ports.store import Index
from apprproxy.gateway.flights.pace import turn_after
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.names.lookup import Named

Confirm = Callable[[Member, NameWant], Awaitable[Named]]
"""Does the owner have it there? Raises an UpstreamFault if not, or if it cannot be asked."""


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

    async def confirmed(self, member: Member, want: BlobWant) -> int | None:
        """The owner has it there; returns the size that it tells, of which zero is none: some say so to every HEAD.

        Raises a Failure.
        """
        named = await self._confirm(member, want.presence)
        with suppress(StoreFailed):  # then it is asked again
            await self._index.shown(member.where(want.repository), want.expected.key)
        size = named.record.target.size
        return size if size > 0 else None

    async def among(self, members: Sequence[Member], want: BlobWant) -> Member:
        """The first of them through which it may be seen, those last that let a turn pass in silence while another
        could be asked; raises Exhausted, NotHeld or Denied."""
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
