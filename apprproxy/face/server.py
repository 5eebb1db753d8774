"""Connections with limits: aiohttp's own defaults let a silent or dribbling client stay for minutes."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest
from operator import itemgetter
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from apprproxy.core.events import NotConnected, NotHttp, NotTls, Observer
from apprproxy.core.framing import Framing
from apprproxy.core.model import KIB
from apprproxy.face import left
from apprproxy.face.parser import AHEAD, Parser
from apprproxy.face.send import SERVER
from apprproxy.face.timer import Timer

GOODBYE = 1.0
"""Seconds for the end of TLS to be answered, where the system has all that was sent."""
IN_A_TURN = 2 * KIB
"""Bytes of framing: some four hundred tiny chunks, behind which others have their turn."""
MAX_REASONS = 20
"""Reasons why requests are malformed that are told apart: some quote what the client sent, so that there is no end of
them."""

LOOK_AGAIN = 0.1
"""Seconds after which it is looked again who may make way, where nobody was found: there may be thousands."""
NEXT = 64
"""Unused connections that one look finds; they make way one after the other."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; ``connections`` at once, beyond which the one that has been unused longest since its last answer
    goes, and where all are used a new one is closed at once."""

    header: float = 10.0
    idle: float = 75.0
    stall: float = 60.0
    connections: int = 4096


class Connection(RequestHandler):
    """Drops a client that does not finish its header in time, and reads hardly ahead of what it answers. One that sends
    tiny chunks is left alone in between, whoever reads them."""

    __slots__ = (
        "_body_over",
        "_end_timer",
        "_full",
        "_header_timer",
        "_left",
        "_limits",
        "_look_timer",
        "_rest_timer",
        "cut",
    )

    _manager: "Server | None"

    def __init__(self, manager: "Server", limits: Limits, **options: Any) -> None:
        super().__init__(manager, keepalive_timeout=limits.idle, **options)
        self._parser = Parser(self, self._loop, self._read_put_by)
        self._max_msg_queue_size, self._msg_queue_resume_size = AHEAD, AHEAD - 1
        self._limits = limits
        self._header_timer, self._end_timer, self._look_timer, self._rest_timer = Timer(), Timer(), Timer(), Timer()
        self._left = False
        self._full = 0
        self._body_over = asyncio.Event()
        self.cut = False
        """Was it broken off because we stop, while its client waited?"""

    async def start(self) -> None:
        """Closes the connection in the end, for which the library waits until all that was sent has been taken."""
        transport = self.transport
        try:
            await super().start()
        finally:
            if transport is not None and self._manager is not None:  # it has not gone meanwhile
                self._end_timer.start(self._limits.stall if self._full else GOODBYE, transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.WriteTransport):
            # an answer has been sent when the system has all of it, or small ones that nobody takes would pile up here.
            # One that encrypts pauses at `high`, the others above it
            encrypts = transport.get_extra_info("sslcontext") is not None
            transport.set_write_buffer_limits(high=1 if encrypts else 0, low=0)
        self._await_header()  # first: where the library is at it already (Python 3.12), it would make way for itself
        manager = self._manager
        if manager is not None and not manager.has_room(len(manager.connections) - 1):
            self.force_close()

    def pause_writing(self) -> None:
        """By TLS two transports say so, the encrypted one and the plain one below it, and the library knows of one."""
        self._full += 1
        if self._full == 1:
            super().pause_writing()

    def resume_writing(self) -> None:
        self._full -= 1
        if not self._full:
            super().resume_writing()

    def _read_put_by(self) -> None:
        """A request was taken up, so that there is room for what the parser has put by."""
        if self.transport is not None and not self._waits:
            self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """With no data, to go on with what there was: whoever reads asks for it without a pause."""
        if self._rest_timer.runs and not data:
            return
        requests = self._request_count
        super().data_received(data)
        if self._request_count > requests:
            self._header_timer.stop()
        if not self._header_timer.runs and isinstance(self._parser, Parser) and self._parser.begun:
            self._await_header()
        self._rest()

    def _rest(self) -> None:
        if self._manager is None or not isinstance(self._parser, Parser):
            return
        taken, content = self._parser.taken()
        rest = self._manager.framing.rest(taken, content, self._loop.time())
        if (rest or taken - content > IN_A_TURN) and not self._rest_timer.runs:
            self._rest_timer.start(rest, self._go_on)
            self._pause_transport_reading()

    def _go_on(self) -> None:
        """The rest is over. Where something else keeps this from reading, whoever ends that reads on."""
        if not self._waits:
            self.data_received(b"")
        if not self._waits and not self._rest_timer.runs:
            self._resume_transport_reading()

    @property
    def _waits(self) -> bool:
        """For somebody who reads a body, or takes up a request."""
        return self._reading_paused or self._buffer_paused

    @property
    def _idle(self) -> bool:
        """Does the handler wait for a request? While it takes one up, what comes is that one's body."""
        return self._waiter is not None and not self._waiter.done()

    def _pause_transport_reading(self) -> None:
        super()._pause_transport_reading()
        if not self._look_timer.runs:
            self._look_timer.start(left.LOOK, self._look)

    def _resume_transport_reading(self) -> None:
        if self._rest_timer.runs:
            return
        self._look_timer.stop()
        super()._resume_transport_reading()

    def _look(self) -> None:
        """Is somebody there, while nothing is read that would tell?"""
        if self.transport is None:
            return
        if left.has_left(self.transport.get_extra_info("socket")):
            self.transport.abort()
        else:
            self._look_timer.start(left.LOOK, self._look)

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._header_timer, self._look_timer, self._rest_timer, self._end_timer):
            timer.stop()
        self._left = self.transport is not None  # it is None where it was us who closed it
        self._body_over.set()
        super().connection_lost(exc)

    def close(self) -> None:
        """No request is taken up any more. The library would drop what else comes of a body that is being read, and
        wait for the rest of it."""
        if self._current_request is None:
            super().close()
        else:
            self._current_request.content.on_eof(super().close)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """A body that is still coming is waited for as long as its answer. ``cut`` is told in time: the handler hears
        of its end after this has returned."""
        if timeout and self._current_request is not None:
            until = self._loop.time() + timeout
            self._current_request.content.on_eof(self._body_over.set)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._body_over.wait()
            timeout = max(0.01, until - self._loop.time())  # none would be no bound to the library
        await super().shutdown(timeout)
        self.cut = not self._left

    def _await_header(self) -> None:
        self._header_timer.start(self._limits.header, self._give_up)

    def _give_up(self) -> None:
        """Not while something is answered: then it could not be taken up."""
        if not self._idle:
            self._await_header()
            return
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.WriteTransport):
            self._end_timer.start(GOODBYE, transport.abort)

    @property
    def unused(self) -> bool:
        """Was it answered, and asks for nothing more yet?"""
        return self._idle and not self._header_timer.runs and not self._force_close and not self._messages

    def closes_at(self) -> float:
        """When it is closed if it stays unused."""
        return self._next_keepalive_close_time

    def make_way(self) -> None:
        """It is closed at once, for the newcomer is counted beside it; its client has taken all that was sent."""
        transport = self.transport
        self.force_close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP is refused in one line and logged in one line; a client that left has been reported. Whoever
        does not take the answer is not waited for without end, as the library would."""
        if isinstance(exc, ConnectionError):
            raise ConnectionError from exc
        if isinstance(self.transport, asyncio.WriteTransport):
            self._end_timer.start(self._limits.stall, self.transport.abort)
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        exc.__traceback__ = None  # what was read stands in its frames, which are a cycle
        if self._manager is not None:
            self._manager.malformed(_reason(exc), status, request.remote)
        response = web.Response(status=status, text="malformed HTTP request\n", headers={"Server": SERVER})
        response.force_close()
        return response


def _reason(error: HttpProcessingError) -> str:
    """Without what was sent where that may be a credential: a whole target, or the beginning of a long field."""
    if isinstance(error, InvalidURLError):
        return "its target is no URL"
    reason = error.message.partition("\n")[0]
    return reason.partition(":")[0] if isinstance(error, LineTooLong) else reason


class Beginning(Protocol):
    def cancel(self) -> None: ...


class Server(web.Server):
    """``web.Server`` with our connections. ``observer`` is told of those, and of the requests, that get no further."""

    def __init__(self, handler: Any, limits: Limits, observer: Observer = lambda _: None) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._limits = limits
        self.framing = Framing()
        self._observer = observer
        self._reasons: set[str] = set()
        self._beginning: set[Beginning] = set()
        self._look_again = 0.0
        self._next: deque[tuple[float, Connection]] = deque()

    def malformed(self, reason: str, status: int, client: str | None) -> None:
        if len(self._reasons) < MAX_REASONS:
            self._reasons.add(reason)
        self._observer(NotHttp(reason, status, client or "", quoted=reason not in self._reasons))

    def not_tls(self, reason: str, client: str) -> None:
        self._observer(NotTls(reason, client))

    def has_room(self, beside: int) -> bool:
        """For one more ``beside`` so many. An unused connection makes way: clients that keep theirs would keep all
        others out, and whoever keeps one must be ready to begin anew (RFC 9112, section 9.5)."""
        if beside < self._limits.connections:
            return True
        longest = self._longest_unused()
        if longest is None:
            self._observer(NotConnected("connections"))
            return False
        longest.make_way()
        return True

    def _longest_unused(self) -> Connection | None:
        """Those whom the last look found come first: whoever else is unused by now has been so for less time."""
        while self._next:
            closes_at, one = self._next.popleft()
            if one.unused and one.closes_at() == closes_at:
                return one
        now = self._loop.time()
        if now < self._look_again:
            return None
        unused = [(one.closes_at(), one) for one in self.connections if isinstance(one, Connection) and one.unused]
        if not unused:
            self._look_again = now + LOOK_AGAIN
            return None
        self._next.extend(nsmallest(NEXT, unused, key=itemgetter(0)))
        return self._next.popleft()[1]

    def begins(self, one: Beginning) -> bool:
        """What will be a connection after its TLS handshake, and counts as one; False where there are too many."""
        if not self.has_room(len(self.connections) + len(self._beginning)):
            return False
        self._beginning.add(one)
        return True

    def ends(self, one: Beginning) -> None:
        """It is a connection now, or none."""
        self._beginning.discard(one)

    async def shutdown(self, timeout: float | None = None) -> None:
        for one in list(self._beginning):
            one.cancel()
        await super().shutdown(timeout)

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            self._limits,
            loop=self._loop,
            access_log=None,  # the door reports each request itself
            lingering_time=2.0,
        )
