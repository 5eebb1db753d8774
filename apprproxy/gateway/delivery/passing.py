"""Bytes that cannot be kept, passed from their owner to one client, hashed on the way, the end withheld until they are
right. Costs every client an upstream transfer of its own, which is better than no pull at all; clients wait their turn,
so that some that read slowly do not take all connections."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, Lied, UpstreamFault
from apprproxy.core.events import LieCaught, Observer
from apprproxy.core.label import Label
from apprproxy.core.ports.store import Readable
from apprproxy.core.threads import at_length
from apprproxy.gateway.delivery.given import Given
from apprproxy.gateway.flights.candidates import ATTEMPTS, Candidate
from apprproxy.gateway.flights.fetch import Rest
from apprproxy.gateway.flights.pace import Lull, Overtaken
from apprproxy.gateway.members.turns import Turns, half_of_those_beside
from apprproxy.gateway.transfer import Pieces

Opens = Callable[[Candidate, int], AbstractAsyncContextManager[Rest]]
"""A source's bytes from a position on, or all of them; raises UpstreamFault."""


class Passing:
    def __init__(self, opens: Opens, observer: Observer) -> None:
        self._opens = opens
        self._observer = observer
        self._turns = Turns(half_of_those_beside)

    async def pieces(
        self, candidates: Sequence[Candidate], at: int, stop: int, size: int, had: tuple[Readable, Label] | None
    ) -> Pieces:
        """Bytes ``at`` up to ``stop`` of a blob of ``size``; ``had`` has all before ``at``, and whose they are, if the
        client has been given some. In a view, who is slow makes way. Raises Lied, or the last UpstreamFault."""
        given = Given(at, stop, size, candidates[0].want.expected.digest.algorithm)
        if had is not None:
            await at_length(given.had, *had)
        left, rounds, attempts = list(candidates), 0, Counter[Label]()
        failure: UpstreamFault | None = None
        while left:
            candidate = left.pop(0)
            source = candidate.label
            given.goes_on(source)
            before = given.position
            others = any(one.member.name != source.upstream for one in left)
            lull = Lull(rounds if others or given.disputed else None)
            try:
                async with aclosing(self._sent(candidate, given, size, lull)) as sent:
                    async for piece in sent:
                        yield piece
            except Overtaken:
                if others:
                    rounds += 1
                    left.append(candidate)
            except DigestMismatch as lie:
                if given.some:
                    raise
                failure = lie
            except UpstreamFault as fault:
                attempts[source] += 1
                further = given.is_of(source) and given.position > before
                if further and not isinstance(fault, Lied) and attempts[source] < ATTEMPTS:
                    left.insert(0, candidate)  # nobody else can go on from there
                elif not isinstance(failure, Lied):
                    failure = fault
            else:
                return
        assert failure is not None
        raise failure

    async def _sent(self, candidate: Candidate, given: Given, size: int, lull: Lull) -> AsyncGenerator[bytes, None]:
        if given.position < size:
            async with AsyncExitStack() as stack:
                async with lull.theirs():
                    await stack.enter_async_context(self._turns.of(candidate.member).turn())
                    rest = await stack.enter_async_context(self._opens(candidate, given.position))
                async for fresh in _unseen(rest, given.position - rest.start, lull):
                    for piece in given.taken(fresh):
                        yield piece
        got, last = given.ended()
        self._judge(candidate, got)
        for piece in last:
            yield piece

    def _judge(self, candidate: Candidate, got: Digest) -> None:
        name, expected = candidate.member.name, candidate.want.expected.digest
        if got != expected:
            lie = DigestMismatch(name, expected, got)
            self._observer(
                LieCaught(name, candidate.source.label, expected, got, lie.sentence, candidate.want.repository)
            )
            raise lie


async def _unseen(rest: Rest, skip: int, lull: Lull) -> AsyncIterator[bytes]:
    """What comes behind the first ``skip`` bytes. The whole is read, whatever part of it is asked for."""
    chunks = rest.incoming.chunks()
    while True:
        async with lull.theirs():
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        lull.came(len(chunk))
        yield chunk[skip:] if skip < len(chunk) else b""
        skip = max(0, skip - len(chunk))
