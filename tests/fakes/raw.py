"""A server at the level of bytes: for answers that no HTTP library would write."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.peers.certificate import Certificate


@asynccontextmanager
async def answering(*answer: bytes) -> AsyncIterator[str]:
    """Says ``answer`` to whatever comes on a connection, each part in a packet of its own, then closes it."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in answer:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.05 if len(answer) > 1 else 0)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def by_tls(certificate: Certificate) -> ssl.SSLContext:
    """A server's, with the library's own ways."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    return context


@asynccontextmanager
async def serving_by_tls(serve: Serve, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The URL. Connections are ``serve``'s to end."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


class Wire:
    """A client's connection at the level of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: str) -> None:
        self.writer.write(text.encode("latin-1"))
        await self.writer.drain()

    async def head(self) -> str:
        """Until the end of a header."""
        async with asyncio.timeout(5):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def rest(self) -> bytes:
        """Whatever comes until the connection ends, however it ends."""
        received = b""
        try:
            async with asyncio.timeout(5):
                while piece := await self.reader.read(65536):
                    received += piece
        except ConnectionError:
            pass
        return received


@asynccontextmanager
async def wire(
    url: str,
    limit: int = 65536,
    window: int | None = None,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Wire]:
    """``window`` is how much may be on its way, which is a lot where it is not said; ``source`` is whose it is."""
    host, _, port = url.rpartition("//")[2].partition(":")
    line = socket.socket()
    if window is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)  # what the other system holds is some of these
    line.bind((source, 0))
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, (host, int(port)))
    reader, writer = await asyncio.open_connection(
        sock=line, limit=limit, ssl=tls, server_hostname=host if tls else None
    )
    if tls is not None:
        writer.transport.set_read_buffer_limits(limit)  # type: ignore[attr-defined]  # what is encrypted is read ahead
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
