"""TLS on the clients' side: whoever has not finished the handshake is a connection like any other, in number and time.

Left to the loop, a connection is known here only after its handshake, for which it has a minute.
"""

import asyncio
import ssl

from apprproxy.face.server import Server


class Handshakes:
    """Makes the protocols of a listening socket, in the place of ``server``."""

    def __init__(self, server: Server, context: ssl.SSLContext, seconds: float) -> None:
        self.server = server
        self.context = context
        self.seconds = seconds

    def __call__(self) -> asyncio.Protocol:
        return _Handshake(self)


class _Handshake(asyncio.Protocol):
    def __init__(self, all_of_them: Handshakes) -> None:
        self._all = all_of_them
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()  # what comes is the handshake's
        if self._all.server.begins(self):
            self._task = asyncio.create_task(self._shake(transport), name="handshake")
        else:
            transport.abort()

    async def _shake(self, transport: asyncio.Transport) -> None:
        server, loop, early = self._all.server, asyncio.get_running_loop(), _Early()
        try:
            encrypted = await loop.start_tls(
                transport, early, self._all.context, server_side=True, ssl_handshake_timeout=self._all.seconds
            )
        except OSError:  # no TLS, no more patience, or gone
            transport.abort()
            return
        finally:
            server.ends(self)
        if encrypted is not None:
            early.give(encrypted, server())

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


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
