"""Bytes that cannot be kept, passed from their owner to one client, hashed on the way, the end withheld until they are
right. Costs every client an upstream transfer of its own, which is better than no pull at all; clients wait their turn,
so that some that read slowly do not take all connections."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from apprproxy.core.digest import Check
from apprproxy.core.errors import DigestMismatch, Lied, UpstreamFault
from apprproxy.core.events import LieCaught, Observer
from apprproxy.core.model import MIB
from apprproxy.core.ports.store import Readable
from apprproxy.gateway.fetch import Rest
from apprproxy.gateway.flight import Candidate
from apprproxy.gateway.follow import WITHHELD
from apprproxy.gateway.transfer import Pieces
from apprproxy.gateway.turns import Turns, half_of_those_beside

_READ = 1 * MIB

Opens = Callable[[Candidate, int], AbstractAsyncContextManager[Rest]]
"""A source's bytes from a position on, or all of them; raises UpstreamFault."""


class Passing:
    def __init__(self, opens: Opens, observer: Observer) -> None:
        self._opens = opens
        self._observer = observer
        self._turns = Turns(half_of_those_beside)

    async def pieces(
        self, candidates: Sequence[Candidate], at: int, stop: int, size: int, there: Readable | None
    ) -> Pieces:
        """Bytes ``at`` up to ``stop`` of a blob of ``size``; ``there`` has all before ``at``, if the client has been
        given some. Raises the last candidate's UpstreamFault, and Lied."""
        check, tail = Check(candidates[0].want.expected.digest.algorithm), _Tail(at, stop)
        if there is not None:
            await asyncio.to_thread(_hash, check, there, at)
        failure: UpstreamFault | None = None
        for candidate in candidates:
            try:
                if check.size < size:
                    async with self._turns.of(candidate.member).turn(), self._opens(candidate, check.size) as rest:
                        async for fresh in _unseen(rest, check, size, candidate.member.name):
                            for piece in tail.after(check.size - len(fresh), fresh):
                                yield piece
                self._judge(candidate, check)
            except Lied:
                raise
            except UpstreamFault as fault:
                failure = fault  # what has been hashed stands: the next one continues
            else:
                for piece in tail.kept:
                    yield piece
                return
        assert failure is not None
        raise failure

    def _judge(self, candidate: Candidate, check: Check) -> None:
        name, expected, got = candidate.member.name, candidate.want.expected.digest, check.digest()
        if got != expected:
            lie = DigestMismatch(name, expected, got)
            self._observer(
                LieCaught(name, candidate.source.label, expected, got, lie.sentence, candidate.want.repository)
            )
            raise lie


async def _unseen(rest: Rest, check: Check, size: int, name: str) -> AsyncIterator[bytes]:
    """What comes that has not been hashed yet, hashed. The whole is read, whatever part of it is asked for."""
    skip = check.size - rest.start
    async for chunk in rest.incoming.chunks():
        fresh = chunk[skip:] if skip < len(chunk) else b""
        skip = max(0, skip - len(chunk))
        check.update(fresh)
        if check.size > size:
            raise Lied(name, f"sent more than the {size} bytes that are due")
        yield fresh


class _Tail:
    """Holds back the last bytes of what is wanted."""

    def __init__(self, at: int, stop: int) -> None:
        self._at = at
        self._stop = stop
        self._waiting = 0
        self.kept: deque[bytes] = deque()

    def after(self, begin: int, fresh: bytes) -> Iterator[bytes]:
        """What may leave, now that these bytes, which begin there, have come as well."""
        wanted = fresh[max(0, self._at - begin) : max(0, self._stop - begin)]
        self.kept.append(wanted)
        self._waiting += len(wanted)
        while self.kept and self._waiting - len(self.kept[0]) >= WITHHELD:
            self._waiting -= len(self.kept[0])
            yield self.kept.popleft()


def _hash(check: Check, there: Readable, upto: int) -> None:
    while check.size < upto:
        piece = there.pread(check.size, min(_READ, upto - check.size))
        if not piece:
            return
        check.update(piece)
