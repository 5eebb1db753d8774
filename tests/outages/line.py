"""A port of loopback that leads to a server, until it is refused, swallowed or taken over; its URL stays the same."""

import asyncio
import socket
import ssl
from contextlib import suppress


class Line:
    """``target`` is the server's URL; it may be known later. ``open`` first; ``close`` when done."""

    def __init__(self, target: str = ":0") -> None:
        self.leads_to(target)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._sockets: list[socket.socket] = []
        self.port = 0

    def leads_to(self, target: str) -> None:
        self._target = int(target.rpartition(":")[2])

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Lead to the server, with TLS ended here where it is given. A port that has been bound is taken again."""
        await self.close()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Nobody listens any more; bound, so that nobody else will."""
        await self.close()
        self._sockets.append(self._bound())

    async def swallow(self) -> None:
        """Neither an answer to SYN nor a refusal, as behind a firewall that drops: whoever is queued is never taken,
        and the queue is full."""
        await self.close()
        listener = self._bound()
        listener.listen(0)
        self._sockets.append(listener)
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", self.port))
            self._sockets.append(caller)
        await asyncio.sleep(0)

    def _bound(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        return bound

    async def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            answers, questions = await asyncio.open_connection("127.0.0.1", self._target)
            ends = {writer, questions}
            self._writers |= ends
            try:
                await asyncio.gather(_copy(reader, questions), _copy(answers, writer))
            finally:
                self._writers -= ends
                for end in ends:
                    end.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    finally:
        sink.close()
