"""A part of a cold blob that lies far ahead of what has arrived, asked of its owner beside the flight.

Such bytes are the owner's word: they cannot be verified. They are never kept, never a mirror's, and counted apart.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

from apprproxy.core.errors import Lied, Outage
from apprproxy.core.model import MIB, Cache, Verdict, decimal_size
from apprproxy.core.ports.store import Held
from apprproxy.core.ports.upstream import Lane
from apprproxy.gateway.diary import Tried
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.transfer import Pieces
from apprproxy.gateway.turnstile import Turnstile

AHEAD = 16 * MIB
"""What is nearer than this arrives by itself soon."""


class Aside:
    """An open answer with just that part. ``held`` is not had this way."""

    def __init__(self, candidate: Candidate, start: int, stop: int, turnstile: Turnstile) -> None:
        self.verdict = Verdict(Cache.BYPASS, detail="unverified")
        self.origin = candidate.member.name
        self.size = 0
        self.tried: tuple[Tried, ...] = ()
        self._candidate = candidate
        self._start = start
        self._stop = stop
        self._turnstile = turnstile
        self._stack = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None

    async def begin(self) -> None:
        """Raises a Failure where the owner does not answer with exactly this part; nothing is open then."""
        try:
            await self._stack.enter_async_context(self._turnstile.turn())
            await self._opened()
        except BaseException:  # a client that left as well
            await self.close()
            raise

    async def _opened(self) -> None:
        source = self._candidate.source
        request = source.speaks.blob_request(self._candidate.want)
        span = f"bytes={self._start}-{self._stop - 1}"
        request = replace(request, headers={**request.headers, "Range": span}, lane=Lane.BESIDE)
        incoming = await self._stack.enter_async_context(source.upstream.open(request))
        total = decimal_size(incoming.headers.get("content-range", "").rpartition("/")[2])
        if incoming.status != 206 or total is None or self._start >= total:
            raise Outage(self.origin, f"answered {incoming.status} to a part of a blob", incoming.status)
        self.size, self._stop = total, min(self._stop, total)
        if incoming.headers["content-range"] != f"bytes {self._start}-{self._stop - 1}/{total}":
            raise Lied(self.origin, "sent another part than was asked for")
        self._chunks = incoming.chunks()

    async def held(self) -> Held:
        raise Lied(self.origin, "sent a part, which cannot be verified")

    async def pieces(self, start: int, stop: int) -> Pieces:
        assert self._chunks is not None
        left = stop - start
        async for chunk in self._chunks:
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            raise Lied(self.origin, "sent a part of another length than it announced")

    async def close(self) -> None:
        await self._stack.aclose()
