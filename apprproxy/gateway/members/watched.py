"""An upstream that is asked only while its health allows, and whose health hears how every request ended."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from apprproxy.core.errors import Busy, LedAway, NoConnection, NoFiles, Throttled, TooSlow, Unreachable, UpstreamFault
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.ports.upstream import Incoming, Lane, Request, Upstream, beside, is_beyond
from apprproxy.gateway.members.health import Attempt, Health
from apprproxy.gateway.turnstile import Turnstile

LONG = 1.0
"""Seconds in a queue of ours that somebody who looks for the cause of a slow pull asks about."""


class Watched:
    """Implements Upstream. Raises Shut at once, without a connection, while the source is shut.

    A living gateway that could not ask further says so (Proxy-Status, RFC 9209), and is not away itself. ``late`` is
    after how many seconds an answer that its caller does not wait for is trouble: many pages may take too long
    together, each of which came at once.

    Of each lane so many requests are under way at once as it has connections; who waits ``patience`` seconds for one,
    or its request's own, is told Busy. What is waited for here is no trouble of the source's; ``observer`` is told
    where it was more than ``LONG``.
    """

    def __init__(
        self,
        upstream: Upstream,
        health: Health,
        *,
        connections: int = 32,
        patience: float = 30.0,
        late: float = 0.0,
        observer: Observer = lambda _: None,
    ) -> None:
        self._upstream = upstream
        self._observer = observer
        self._health = health
        self._late = late
        self._patience = patience
        self._places = {
            lane: Turnstile(beside(connections) if lane is Lane.BESIDE else connections)
            for lane in (Lane.NAMES, Lane.BLOBS, Lane.BESIDE)
        }

    @property
    def name(self) -> str:
        return self._upstream.name

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Incoming]:
        async with self._place(request), self._asked(request) as incoming:
            yield incoming

    @asynccontextmanager
    async def _place(self, request: Request) -> AsyncIterator[None]:
        patience = self._patience if request.patience is None else min(self._patience, request.patience)
        now = asyncio.get_running_loop().time
        async with AsyncExitStack() as place:
            came = now()
            try:
                async with asyncio.timeout(patience):
                    await place.enter_async_context(self._places[request.lane].turn())
            except TimeoutError:
                raise Busy(self.name, "all connections that we may have to it are in use") from None
            if (seconds := now() - came) > LONG:
                reason = f"{self.name}: waited {seconds:.1f} s for one of its connections"
                self._observer(Trouble("busy", self.name, request.about, reason))
            yield

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[Incoming]:
        attempt, began = self._health.admit(request.about, request.lane), asyncio.get_running_loop().time()
        try:
            async with self._upstream.open(request) as incoming:
                if self._health.is_away(incoming.status) and not is_beyond(incoming.status, incoming.headers):
                    attempt.away(f"answered {incoming.status}")
                else:
                    attempt.answered()
                yield _Heard(incoming, attempt)
            attempt.finished()
        except UpstreamFault as fault:
            self._judge(attempt, fault, write=request.as_caller)
            raise
        except asyncio.CancelledError:
            # A caller that gives up does so because the answer is late, its headers or the rest (a lookup's time-out):
            # one that drips comes no more than one that keeps silent. A write is ended by its client at will, who must
            # not be able to shut the upstream for everybody; and so are a part asked beside a flight and bytes that
            # are passed by, while a flight ends an attempt when another source's turn has come.
            late = asyncio.get_running_loop().time() - began >= self._late
            if late and request.lane is Lane.NAMES and not (request.as_caller or request.in_turn):
                attempt.troubled("no whole answer in time" if attempt.judged else "no answer in time", reached=True)
            raise
        finally:
            attempt.ended()

    def _judge(self, attempt: Attempt, fault: UpstreamFault, *, write: bool) -> None:
        """A failure before or after the headers: the line's, or one by which the source shows that it lives; or ours,
        which says nothing of it. That a ``write`` breaks its line may be for what its client sent: a worker that is
        killed for it answers no more than one that has none."""
        if isinstance(fault, NoFiles):
            return
        if attempt.judged and isinstance(fault, Unreachable):  # whoever reads the body may see that it broke off
            attempt.troubled(fault.sentence, reached=True)
        elif attempt.judged:
            attempt.finished()
        elif isinstance(fault, LedAway):  # as where that host says so itself
            attempt.away(fault.sentence)
        elif isinstance(fault, (Unreachable, NoConnection)):
            attempt.troubled(fault.sentence, reached=write)
        elif isinstance(fault, TooSlow):
            attempt.troubled(fault.sentence, reached=True)
        elif self._health.is_away(fault.status) and not (isinstance(fault, Throttled) and fault.beyond):
            attempt.away(fault.sentence)
        else:
            attempt.answered()
            attempt.finished()
            if isinstance(fault, Throttled) and fault.status == 429 and fault.retry_after is not None:
                attempt.rests(fault.sentence, fault.retry_after)


class _Heard:
    """An answer whose body tells if it breaks off."""

    def __init__(self, incoming: Incoming, attempt: Attempt) -> None:
        self._incoming = incoming
        self._attempt = attempt

    @property
    def status(self) -> int:
        return self._incoming.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._incoming.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._incoming.chunks():
                yield chunk
        except UpstreamFault as fault:
            self._attempt.troubled(fault.sentence, reached=True)
            raise
