"""Answers on the wire: small bodies whole, held bytes by sendfile with ranges, broken off where they cannot be right.

- A client that takes less than ``PIECE``, by TLS ``TLS_PIECE``, in ``stall`` seconds is dropped, so that it holds
  neither memory nor a place.
- Bytes are identity-coded, always.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from aiohttp import web

from apprproxy import __version__
from apprproxy.core.errors import Failure, Lied, faults_in
from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Readable
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import etag, matches
from apprproxy.face.ranges import Unsatisfiable, parse_range
from apprproxy.face.status import retry_after, status_of
from apprproxy.gateway.delivery.delivery import Span
from apprproxy.gateway.names.lookup import Named
from apprproxy.gateway.transfer import HeldTransfer, Stretch, Transfer

SERVER = f"apprproxy/{__version__}"
UNTRUSTED = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
"""For browsers: a manifest says itself what it is, which may be a page, and its scripts would read whatever else is
served here."""
PIECE = 256 * KIB
"""Larger ones are no faster, and must be taken whole in ``stall`` seconds."""
TLS_PIECE = 64 * KIB
"""By TLS a piece is in memory, and once more encrypted, until it has been taken."""
COPIED = 64 * KIB
"""What is sent from memory is there once more, for each connection, until the system has it: so much of a piece."""


class ClientLeft(ConnectionResetError):
    """The client closed the connection, or stopped reading."""


class BrokenOff(ConnectionResetError):
    """We closed the connection: the body cannot be completed rightly."""


async def send_body(exchange: Exchange, status: int, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """A small body that is in memory, in a protocol's own words."""
    async with _answer(exchange, status, headers, len(body)) as response:
        if exchange.method != "HEAD":
            await _write(exchange, response, body)
    return response


async def send_pieces(
    exchange: Exchange, length: int, pieces: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """A body of a known length that is made while it is sent."""
    async with _answer(exchange, 200, headers, length) as response:
        if exchange.method != "HEAD":
            async for piece in pieces:
                await _write(exchange, response, piece)
            _whole(exchange, length, exchange.sent)
    return response


async def send_refusal(
    exchange: Exchange, failure: Failure, body: bytes, headers: Mapping[str, str]
) -> web.StreamResponse:
    """A failure, in a protocol's own words, with the fields that its status asks for."""
    status = status_of(failure)
    fields = dict(headers)
    if status in (502, 503, 504):
        fields["Proxy-Status"] = "apprproxy"  # RFC 9209: it is not us who is away
    if status == 405:
        fields["Allow"] = "GET, HEAD"
    if (wait := retry_after(failure)) is not None:
        fields["Retry-After"] = str(int(wait) + 1)
    return await send_body(exchange, status, body, fields)


async def send_empty(exchange: Exchange, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
    """Headers alone, as they are (an answer to HEAD, 304)."""
    async with _answer(exchange, status, headers) as response:
        pass
    return response


async def send_named(exchange: Exchange, named: Named, control: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """The document that a name points at."""
    transfer = HeldTransfer(named.verdict, named.record.origin, named.document, named.tried)
    return await send_transfer(exchange, transfer, control, headers, tag=etag(named.document.digest))


async def send_transfer(
    exchange: Exchange, transfer: Transfer, control: str, headers: Mapping[str, str], tag: str = ""
) -> web.StreamResponse:
    """Bytes that are held, or on their way: headers go out now, and whatever may leave as soon as it may."""
    fields = {**exchange.found(transfer.verdict, transfer.origin, control), **headers}
    try:
        return await _send(exchange, transfer, fields, tag or etag((await transfer.held()).digest))
    finally:
        exchange.tried = tuple(transfer.tried)
        await transfer.close()


async def _send(exchange: Exchange, transfer: Transfer, fields: dict[str, str], tag: str) -> web.StreamResponse:
    fields |= {"ETag": tag, "Accept-Ranges": "bytes"}
    if matches(exchange.field("If-None-Match"), tag):
        fields.pop("Content-Type", None)
        return await send_empty(exchange, 304, fields)
    part, status = Span(0, transfer.size), 200
    try:
        chosen = parse_range(asked_range(exchange, tag), transfer.size)
    except Unsatisfiable:
        unsatisfied = {**fields, "Content-Range": f"bytes */{transfer.size}", "Content-Length": "0"}
        return await send_empty(exchange, 416, unsatisfied)
    if chosen is not None:
        part, status = chosen, 206
        fields["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{transfer.size}"
    async with _answer(exchange, status, fields, part.length) as response:
        if exchange.method != "HEAD" and part.length:
            await _pour(exchange, response, transfer, part)
    return response


async def go_ahead(exchange: Exchange) -> None:
    """The body is wanted, for which a client may wait (RFC 9110, section 10.1.1)."""
    request = exchange.request
    if not exchange.old_http and request.headers.get("Expect", "").strip().lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def asked_range(exchange: Exchange, tag: str) -> str | None:
    """The Range field, where it counts (RFC 9110, sections 13.1.5 and 14.2)."""
    asked = exchange.request.headers
    if exchange.method != "GET" or asked.get("If-Range", tag) != tag:
        return None
    return asked.get("Range")


async def _pour(exchange: Exchange, response: web.StreamResponse, transfer: Transfer, part: Span) -> None:
    """The headers are out, so that a failure can only be told by breaking the connection."""
    pieces = transfer.pieces(part.start, part.stop)
    begun = exchange.sent
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, bytes):
                    await _write(exchange, response, piece)
                else:
                    await _stretch(exchange, response, piece)
    except Failure as failure:
        abort(exchange, reset=exchange.old_http or _lie(failure))
        raise BrokenOff(str(failure)) from failure
    _whole(exchange, part.length, exchange.sent - begun)


def _whole(exchange: Exchange, announced: int, sent: int) -> None:
    """Else a client would take the next answer for the end of this."""
    if sent != announced:
        abort(exchange)
        raise BrokenOff(f"{announced} bytes were announced and {sent} were there")


async def _stretch(exchange: Exchange, response: web.StreamResponse, stretch: Stretch) -> None:
    fd = stretch.readable.fileno()
    most = _most(exchange)
    at, stop = stretch.start, stretch.stop
    while at < stop:
        count = min(most, stop - at)
        if fd is None or most < PIECE or not await _sendfile(exchange, _File(fd), at, count):
            count = await _copy(exchange, response, stretch.readable, at, count)
        at += count


async def _copy(exchange: Exchange, response: web.StreamResponse, readable: Readable, offset: int, count: int) -> int:
    """Returns how much that was."""
    piece = await read_piece(readable, offset, count)
    if not piece:
        abort(exchange)
        raise BrokenOff("the file is shorter than it was")
    await _write(exchange, response, piece)
    return len(piece)


async def read_piece(readable: Readable, offset: int, count: int) -> bytes:
    """All of it, unless the file is shorter."""
    fd = readable.fileno()
    piece = readable.pread(offset, count) if fd is None else _at_hand(fd, offset, count)
    return piece if len(piece) == count else await asyncio.to_thread(readable.pread, offset, count)


def _at_hand(fd: int, offset: int, count: int) -> bytes:
    """What the system has of it in memory: for so little, a thread costs more than all the rest."""
    piece = bytearray(count)
    try:
        done = os.preadv(fd, [piece], offset, os.RWF_NOWAIT)
    except (OSError, AttributeError):  # it has to be read from the disk, or the system does not tell
        return b""
    return bytes(memoryview(piece)[:done])


class _File:
    """As much of a file as ``loop.sendfile`` asks for."""

    mode = "rb"

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


async def _sendfile(exchange: Exchange, file: _File, offset: int, count: int) -> bool:
    """False where that failed, be it the file's fault or the line's: reading it tells. What it is read by must not be
    known here, for the library keeps the error, and with it this frame."""
    transport = exchange.request.transport
    if transport is None:
        raise ClientLeft("the client left")
    loop = asyncio.get_running_loop()
    try:
        async with _taken(exchange):
            done = await loop.sendfile(transport, file, offset, count, fallback=False)  # type: ignore[arg-type]
    except ClientLeft:
        raise
    except asyncio.SendfileNotAvailableError:
        return False
    except RuntimeError as error:
        raise ClientLeft("the client left") from error
    except OSError:
        abort(exchange)  # some of it may have left
        return False
    if done != count:
        abort(exchange)
        raise BrokenOff("the file is shorter than it was")
    exchange.sent += count
    return True


@asynccontextmanager
async def _answer(
    exchange: Exchange, status: int, headers: Mapping[str, str], length: int | None = None
) -> AsyncIterator[web.StreamResponse]:
    """Its headers leave at once: containerd gives up after 30 s without them, and sendfile passes by the buffers. Ended
    where nothing is raised."""
    fields = {**headers, **exchange.fields, **UNTRUSTED, "X-Request-Id": exchange.id, "Server": SERVER}
    response = web.StreamResponse(status=status, headers=fields)
    if length is not None:  # else the headers may have one
        response.content_length = length
    exchange.status, exchange.answered = status, time.monotonic()
    writer = await response.prepare(exchange.request)
    if writer is not None:
        writer.send_headers()
    yield response
    async with _taken(exchange):
        await response.write_eof()
        await exchange.request.writer.drain()  # the library does so for large bodies only; small ones can be many


@asynccontextmanager
async def _taken(exchange: Exchange) -> AsyncIterator[None]:
    """Raises ClientLeft where the client does not take what is sent meanwhile."""
    try:
        async with asyncio.timeout(exchange.stall):
            yield
    except TimeoutError:
        abort(exchange)
        raise ClientLeft("the client stopped reading") from None
    except ConnectionError as error:
        raise ClientLeft("the client left") from error


async def _write(exchange: Exchange, response: web.StreamResponse, piece: bytes) -> None:
    """Others have a turn before each part but the first: a client that takes all at once never makes us wait, and TLS
    takes whatever it is given until a turn tells it that its line broke."""
    most = _most(exchange)
    for at in range(0, len(piece), most):
        async with _taken(exchange):
            for begin in range(at, min(at + most, len(piece)), COPIED):
                part = piece[begin : begin + COPIED]
                if exchange.sent:
                    await asyncio.sleep(0)
                await response.write(part)
                await exchange.request.writer.drain()  # the library does so for larger ones only
                exchange.sent += len(part)


def _most(exchange: Exchange) -> int:
    """How much is sent before the client must have taken it."""
    transport = exchange.request.transport
    encrypted = transport is None or transport.get_extra_info("sslcontext") is not None
    return TLS_PIECE if encrypted else PIECE


def _lie(failure: Failure) -> bool:
    return any(isinstance(one, Lied) for one in faults_in(failure))


def abort(exchange: Exchange, *, reset: bool = False) -> None:
    """Break the connection, so that no client can take what it has for the whole. ``reset`` where what it has is wrong:
    containerd asks for the rest after an orderly end, and gives up after a reset. An HTTP/1.0 client may see nothing
    else than how its connection ends."""
    transport = exchange.request.transport
    if isinstance(transport, asyncio.WriteTransport):
        if reset and (line := transport.get_extra_info("socket")) is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
