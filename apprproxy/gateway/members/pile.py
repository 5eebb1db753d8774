"""What questions to one upstream bring, until it has been taken apart and kept: so many bytes, however many ask.

- Short answers are not counted: connections are bounded, too.
- A long one for which there is no room is let go, and asked for again once there is: by the length that it announces,
  or as it grows. Whoever waits for that has no connection, which others need for small questions.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apprproxy.core.answers import replied
from apprproxy.core.budget import Budget
from apprproxy.core.documents import values
from apprproxy.core.model import MAX_DOCUMENT, decimal_size
from apprproxy.core.ports.upstream import Reply, Request, Upstream
from apprproxy.core.reading import FEW_VALUES, LARGE

ROOM = 8 * MAX_DOCUMENT
"""Of one upstream: hundreds of lists as most are, or eight of the longest. What is read takes many times as much, and
one at a time."""


class Overfull(Exception):
    """There is no room for the rest of an answer; what had come of it was let go."""


class Pile:
    """The answers to one question, page by page. ``size`` is that of all that have come."""

    def __init__(self, room: Budget) -> None:
        self.size = self._values = 0
        self._room = room
        self._counted = 0
        self._needs = MAX_DOCUMENT

    async def add(self, upstream: Upstream, request: Request) -> Reply:
        """Raises UpstreamFault, or Overfull: then ``make_room`` before it is asked for again."""
        async with upstream.open(request) as incoming:
            length = None if request.headers_only else decimal_size(incoming.headers.get("content-length", ""))
            self._needs = min(self.size + length, MAX_DOCUMENT) if length is not None else MAX_DOCUMENT
            self._grows(min(length or 0, MAX_DOCUMENT))
            reply = await replied(upstream.name, incoming, request, self._grows)
        self.size += len(reply.body)
        if self.size < LARGE:
            self._values += values(reply.body)
        return reply

    @property
    def short(self) -> bool:
        """Is all that has come taken apart in no time?"""
        return self.size < LARGE and self._values <= FEW_VALUES

    def _grows(self, by: int) -> None:
        """So much of the next answer is here."""
        size = self.size + by
        if size < LARGE or size <= self._counted or self._counted >= MAX_DOCUMENT:
            return
        if not self._room.grow(size - self._counted):
            raise Overfull
        self._counted = size

    async def make_room(self) -> None:
        """What is counted is given back first: none waits for the room that another one keeps while it waits."""
        self.clear()
        await self._room.take(self._needs)
        self._counted = self._needs

    def clear(self) -> None:
        """Nothing of it is needed any more."""
        self._room.give(self._counted)
        self._counted = 0


@asynccontextmanager
async def piled(room: Budget) -> AsyncIterator[Pile]:
    """For one question, to be left when nothing of its answers is needed any more."""
    pile = Pile(room)
    try:
        yield pile
    finally:
        pile.clear()
