"""TLS ended in front of a plain server of the loopback interface, as an intercepting proxy of a company ends it."""

import asyncio
import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread

from tests.peers.certificate import Certificate


@contextmanager
def relay(target: str, certificate: Certificate, *, tunnel: bool = False) -> Iterator[str]:
    """Where it listens. With `tunnel` it is a proxy: it takes any CONNECT, and is then the host that was asked for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.path, certificate.key)
    ended = asyncio.Event()
    started: Future[tuple[str, asyncio.AbstractEventLoop]] = Future()
    opened: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        with suppress(OSError, EOFError):
            if tunnel:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.start_tls(context)
            host, _, port = target.rpartition(":")
            answers, questions = await asyncio.open_connection(host, int(port))
            opened.append(questions)
            await asyncio.gather(_copy(reader, questions), _copy(answers, writer))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if tunnel else context)
        async with server:
            started.set_result((f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asyncio.get_running_loop()))
            await ended.wait()
        for one in opened:
            one.transport.abort()
        await asyncio.sleep(0.01)  # until they are

    thread = Thread(target=asyncio.run, args=(main(),), name="relay")
    thread.start()
    address, loop = started.result(10)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    finally:
        sink.close()
