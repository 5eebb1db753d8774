"""TLS on the clients' side: whoever has not finished the handshake is a connection like any other, in number and time.

Left to the loop, a connection is known here only after its handshake, for which it has a minute; and what it was sent
counts as sent while most of a megabyte of it is still here, in the plain line below.
"""

import asyncio
import ssl
import traceback
from typing import Any

from apprproxy.face.server import Limits, Server

_IN_OUR_WORDS = {
    "HTTP_REQUEST": "plain HTTP where TLS is spoken",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not trust our certificate (unknown ca)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not take our certificate (bad certificate)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not take our certificate (certificate unknown)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "to the client our certificate has expired",
}
"""As the library calls it; what it says of anything else is said in its words."""


class Handshakes:
    """Makes the protocols of a listening socket, in the place of ``server``."""

    def __init__(self, server: Server, context: ssl.SSLContext, limits: Limits) -> None:
        self.server = server
        self.context = context
        self.limits = limits

    def __call__(self) -> asyncio.Protocol:
        return _Handshake(self)


class _Handshake(asyncio.Protocol):
    def __init__(self, all_of_them: Handshakes) -> None:
        self._all = all_of_them
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()  # what comes is the handshake's
        transport.set_write_buffer_limits(0)
        if self._all.server.begins(self):
            self._task = asyncio.create_task(self._shake(transport), name="handshake")
        else:
            transport.abort()

    async def _shake(self, transport: asyncio.Transport) -> None:
        server, limits, early = self._all.server, self._all.limits, _Early()
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport,
                early,
                self._all.context,
                server_side=True,
                ssl_handshake_timeout=limits.header,
                ssl_shutdown_timeout=limits.stall,
            )
        except OSError as error:  # no TLS, no more patience, or gone
            if isinstance(error, ssl.SSLError):
                server.not_tls(reason_of(error), (transport.get_extra_info("peername") or [""])[0])
            transport.abort()
            traceback.clear_frames(error.__traceback__)  # a cycle with what it was told by, a quarter of a MiB each
            error.__traceback__ = error.__context__ = None
            return
        finally:
            server.ends(self)
        if encrypted is not None:
            connection = server()
            _Below.put(transport, connection)
            early.give(encrypted, connection)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _Below(asyncio.BufferedProtocol):
    """Between the plain line and TLS: tells the connection, too, whether the system has all that was sent."""

    def __init__(
        self, transport: asyncio.Transport, tls: asyncio.BufferedProtocol, connection: asyncio.BaseProtocol
    ) -> None:
        self._transport = transport
        self._tls = tls
        self._connection = connection

    @classmethod
    def put(cls, transport: asyncio.Transport, connection: asyncio.BaseProtocol) -> None:
        """Nothing is put below a line that has gone."""
        tls = transport.get_protocol()
        if isinstance(tls, asyncio.BufferedProtocol):
            transport.set_protocol(cls(transport, tls, connection))
            if transport.get_write_buffer_size():  # of the handshake, of which TLS has been told
                connection.pause_writing()

    def pause_writing(self) -> None:
        self._tls.pause_writing()
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """What TLS has kept goes out first, and may be too much again."""
        self._tls.resume_writing()
        self._connection.resume_writing()

    def get_buffer(self, sizehint: int) -> Any:
        return self._tls.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        """While nothing is read, TLS does not end, but drops each answer with a warning of its own."""
        waits = self._tls.eof_received()
        if waits:
            self._transport.abort()
        return waits

    def connection_lost(self, exc: Exception | None) -> None:
        self._tls.connection_lost(exc)


class _Early(asyncio.Protocol):
    """Takes what comes right behind the handshake, before somebody is there for it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lost = False

    def data_received(self, data: bytes) -> None:
        self._data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def give(self, transport: asyncio.Transport, connection: asyncio.Protocol) -> None:
        if self._lost:
            return
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._data:
            connection.data_received(bytes(self._data))


def reason_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, as it is told."""
    why = error.reason or ""
    return _IN_OUR_WORDS.get(why, why.lower().replace("_", " "))
