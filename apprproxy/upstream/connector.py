"""An upstream's connection brings what was asked for and nothing else, and gives others their turn.

- Interim answers (1xx) are passed over, but not for ever (RFC 9110, section 15.2), and whatever nobody asked for ends
  the connection.
- The library takes all that a read has brought in one go: a quarter of a MiB of interim answers is fourteen thousand,
  and an upstream that sends nothing else has the event loop for itself. So would one whose body is all chunks:
  ``core/framing.py`` says how long its connection is left alone in between.
"""

import asyncio
import ssl
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import HttpProcessingError

from apprproxy.core.framing import Framing
from apprproxy.core.model import KIB
from apprproxy.core.tls import to_anybody

MAX_INTERIM = 16
"""Before an answer. Genuine servers send one or two: 100, 103."""
MAX_BEFORE = 256 * KIB
"""Bytes until an answer's header is complete, which has some KiB: each is held several times over as long as its
connection is, and the library passes over empty lines before it, of which a line brings hundreds of MiB a second."""
_STATUSES, _FINAL = range(100, 600), 200
"""Others are invalid (RFC 9110, section 15)."""
_ANOTHER_PROTOCOL = 101
"""Is never asked for. A client of ours that were told so, or a proxy in front of us, would read on in that."""
_HEADER = 4 * KIB
"""Read at a time until the answer's header is complete."""
_BODY = 64 * KIB
"""And after it."""
_CHUNKED = 16 * KIB
"""Of a body in chunks: where these are of one byte it takes some two milliseconds."""


class Connector(aiohttp.TCPConnector):
    """Its connections are closed where more come, and share what they may take apart with all that have ``framing``.
    ``to_proxies`` is TLS to a forward proxy. The library has the upstream's own for that as well: the proxy would be
    shown its client certificate, and not be verified where the upstream is not.

    As many may lie idle as may be in use. For the library each host has its own, as many as come in 15 s: who redirects
    to ever new ports would have all descriptors of the process.
    """

    def __init__(
        self, framing: Framing | None = None, to_proxies: ssl.SSLContext | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._to_proxies = to_proxies or to_anybody()
        # the library has no other way to say so, and its type is that of exactly its own
        self._factory = partial(_Handler, self._loop, framing or Framing())  # type: ignore[assignment]

    def _update_proxy_auth_header_and_build_proxy_req(self, req: aiohttp.ClientRequest) -> aiohttp.ClientRequest:
        asked = super()._update_proxy_auth_header_and_build_proxy_req(req)
        asked._ssl = self._to_proxies
        return asked

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        too_many = sum(map(len, self._conns.values())) >= self.limit
        super()._release(key, protocol, should_close=should_close or too_many)


class _Handler(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop, framing: Framing) -> None:
        super().__init__(loop)
        self._framing = framing
        self._resting = False
        self._interim = self._before = 0
        self._answered = False
        self._at_once = _BODY
        self._put_by = b""
        self._lost: tuple[BaseException | None] | None = None

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        self._interim, self._before, self._answered = 0, 0, False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """With no data, to go on with what there was."""
        self._take_all(data)
        if not self._held:
            self._lose()

    def _take_all(self, data: bytes) -> None:
        data, self._put_by = self._put_by + data, b""
        now = self._loop.time()  # once: what is taken apart slowly is not more for that
        while not self._resting:
            if data and self._answered and (self._payload is None or self._payload.is_eof()):
                self._hang_up()  # it lies idle: what comes now would be taken in without bound
                return
            if not self._answered and not self.is_connected():
                return
            count = self._at_once if self._answered else _HEADER
            self._before += 0 if self._answered else len(data[:count])
            if self._before > MAX_BEFORE:
                self._refuse("too much before an answer")
                return
            self._take(data[:count], now)
            data = data[count:]
            if not data or self._reading_paused:
                break
        self._put_by = data

    def _take(self, data: bytes, now: float) -> None:
        body = self._payload if self._answered else None
        before = body.total_bytes if body is not None else 0
        super().data_received(data)
        if body is not None and not body.is_eof() and isinstance(self.exception(), HttpProcessingError):
            # the library lets whoever reads it wait, and tells who comes later what would be a fault of ours
            body.set_exception(aiohttp.ClientPayloadError("its framing went wrong"))
            return
        if body is None or self._reading_paused:
            return  # a header has a limit; where reading stops, part of this was put by
        rest = self._framing.rest(len(data), body.total_bytes - before, now)
        if rest and not body.is_eof():
            self._resting = True
            self._pause_reading_for_buffer()
            self._loop.call_later(rest, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        self.data_received(b"")
        if not self._resting:  # else a TLS line that is resumed and paused again would end before it is read
            self._resume_reading_for_buffer()

    @property
    def _held(self) -> bool:
        """Has something come that waits to be taken apart?"""
        over = self._payload is None or self._payload.is_eof()
        return self._answered and not over and (self._resting or self._reading_paused)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The library begins to count ``read`` anew, also where the whole answer has come by now. While the connection
        lies idle that would run out, and whoever is given it next be told at once that nothing came in time."""
        super().resume_reading(resume_parser)
        if self._answered and self._payload is not None and self._payload.is_eof():
            self._drop_timeout()

    def connection_lost(self, exc: BaseException | None) -> None:
        """By TLS a line ends although reading was paused, and what came before is the answer's all the same."""
        self._lost, self._should_close = (exc,), True
        if exc is not None or not self._held:
            self._lose()

    def close(self) -> None:
        self._resume_transport_reading()  # nothing else closes a TLS line that has ended meanwhile
        super().close()
        self._lose()

    def abort(self) -> None:
        self._resume_transport_reading()
        super().abort()
        self._lose()

    def _lose(self) -> None:
        """Tell that the connection was lost, if it was and that has not been told."""
        if self._lost is not None:
            (exc,), self._lost = self._lost, None
            super().connection_lost(exc)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A header is complete."""
        if self._answered:  # behind the whole answer in one read: the library has given the connection back already
            self._hang_up()
            return
        code = data[0].code
        if code == _ANOTHER_PROTOCOL or code not in _STATUSES:
            self._refuse("its status is that of no answer")
            return
        self._answered = code >= _FINAL
        self._at_once = _CHUNKED if data[0].chunked else _BODY
        self._interim += not self._answered
        if self._interim <= MAX_INTERIM:
            super().feed_data(data, size)
        else:
            self._refuse("too many interim answers")

    def _refuse(self, what: str) -> None:
        self.set_exception(HttpProcessingError(message=what))
        self._hang_up()

    def _hang_up(self) -> None:
        self._should_close = True
        if self.transport is not None:
            self.transport.close()
