"""Answers on the wire: small bodies whole, held bytes by sendfile with ranges, broken off where they cannot be right.

- A client that takes less than ``PIECE`` in ``stall`` seconds is dropped, so that it holds neither memory nor a place.
- Bytes are identity-coded, always.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from apprproxy import __version__
from apprproxy.core.errors import Failure
from apprproxy.core.model import KIB, MIB
from apprproxy.core.ports import Held
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import about, etag, matches
from apprproxy.face.ranges import Slice, Unsatisfiable, parse_range
from apprproxy.face.status import retry_after, status_of
from apprproxy.gateway.blobs import Transfer
from apprproxy.gateway.lookup import Named

SERVER = f"apprproxy/{__version__}"
PIECE = 1 * MIB
_READ = 256 * KIB


class ClientLeft(ConnectionResetError):
    """The client closed the connection, or stopped reading."""


class BrokenOff(ConnectionResetError):
    """We closed the connection: the body cannot be completed rightly."""


async def send_body(exchange: Exchange, status: int, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """A small body that is in memory, in a protocol's own words."""
    response = web.StreamResponse(status=status, headers=_complete(exchange, headers))
    response.content_length = len(body)
    exchange.status = status
    await _prepare(exchange, response)
    if exchange.method != "HEAD":
        for at in range(0, len(body), _READ):
            await _write(exchange, response, body[at : at + _READ])
    await _end(exchange, response)
    return response


async def send_pieces(
    exchange: Exchange, length: int, pieces: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """A body of a known length that is made while it is sent."""
    response = web.StreamResponse(status=200, headers=_complete(exchange, headers))
    response.content_length = length
    exchange.status = 200
    await _prepare(exchange, response)
    if exchange.method != "HEAD":
        async for piece in pieces:
            await _write(exchange, response, piece)
    await _end(exchange, response)
    return response


async def send_refusal(
    exchange: Exchange, failure: Failure, body: bytes, headers: Mapping[str, str]
) -> web.StreamResponse:
    """A failure, in a protocol's own words, with the fields that its status asks for."""
    status = status_of(failure)
    fields = dict(headers)
    if status == 405:
        fields["Allow"] = "GET, HEAD"
    if (wait := retry_after(failure)) is not None:
        fields["Retry-After"] = str(int(wait) + 1)
    return await send_body(exchange, status, body, fields)


async def send_empty(exchange: Exchange, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
    """Headers alone, as they are (an answer to HEAD, 304)."""
    response = web.StreamResponse(status=status, headers=_complete(exchange, headers))
    exchange.status = status
    await _prepare(exchange, response)
    await _end(exchange, response)
    return response


async def send_named(exchange: Exchange, named: Named, control: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """The document that a name points at."""
    exchange.found(named.verdict, named.record.origin)
    fields = {**about(named.verdict, named.record.origin, control), **headers}
    return await _send(exchange, named.document, fields)


async def send_transfer(
    exchange: Exchange, transfer: Transfer, control: str, headers: Mapping[str, str], tag: str = ""
) -> web.StreamResponse:
    """Bytes that are held, or that have only a size yet: then headers go out now and the bytes once they are right."""
    exchange.found(transfer.verdict, transfer.origin)
    fields = {**about(transfer.verdict, transfer.origin, control), **headers}
    return await _send(exchange, transfer, fields, tag)


async def _send(
    exchange: Exchange, source: Held | Transfer, fields: dict[str, str], tag: str = ""
) -> web.StreamResponse:
    asked = exchange.request.headers
    tag = tag or etag(source.digest if not isinstance(source, Transfer) else (await source.held()).digest)
    fields |= {"ETag": tag, "Accept-Ranges": "bytes"}
    if matches(asked.get("If-None-Match"), tag):
        fields.pop("Content-Type", None)
        return await send_empty(exchange, 304, fields)
    part, status = Slice(0, source.size), 200
    if exchange.method == "GET" and asked.get("If-Range", tag) == tag:
        try:
            chosen = parse_range(asked.get("Range"), source.size)
        except Unsatisfiable:
            return await send_empty(
                exchange, 416, {**fields, "Content-Range": f"bytes */{source.size}", "Content-Length": "0"}
            )
        if chosen is not None:
            part, status = chosen, 206
            fields["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{source.size}"
    response = web.StreamResponse(status=status, headers=_complete(exchange, fields))
    response.content_length = part.length
    exchange.status = status
    await _prepare(exchange, response)
    if exchange.method != "HEAD":
        await _pour(exchange, response, await _right(exchange, source), part)
    await _end(exchange, response)
    return response


def _complete(exchange: Exchange, headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, **exchange.fields, "X-Request-Id": exchange.id, "Server": SERVER}


async def _right(exchange: Exchange, source: Held | Transfer) -> Held:
    """The verified bytes; the headers are out, so that a failure can only be told by breaking the connection."""
    if not isinstance(source, Transfer):
        return source
    size = source.size
    try:
        held = await source.held()
    except Failure as failure:
        abort(exchange)
        raise BrokenOff(str(failure)) from failure
    if held.size != size:
        abort(exchange)
        raise BrokenOff(f"{size} bytes were announced and {held.size} are right")
    return held


async def _pour(exchange: Exchange, response: web.StreamResponse, held: Held, part: Slice) -> None:
    fd = held.fileno()
    transport = exchange.request.transport
    plain = transport is not None and transport.get_extra_info("sslcontext") is None
    at = part.start
    while at < part.stop:
        if fd is not None and plain:
            count = min(PIECE, part.stop - at)
            await _sendfile(exchange, _File(fd), at, count)
            exchange.sent += count
            at += count
        else:
            piece = held.pread(at, min(_READ, part.stop - at)) if fd is None else await _read(held, at, part.stop)
            if not piece:
                abort(exchange)
                raise BrokenOff("the file is shorter than it was")
            await _write(exchange, response, piece)
            at += len(piece)


async def _read(held: Held, at: int, stop: int) -> bytes:
    return await asyncio.to_thread(held.pread, at, min(_READ, stop - at))


class _File:
    """As much of a file as ``loop.sendfile`` asks for."""

    mode = "rb"

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd


async def _sendfile(exchange: Exchange, file: _File, offset: int, count: int) -> None:
    transport = exchange.request.transport
    if transport is None:
        raise ClientLeft("the client left")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(exchange.stall):
            done = await loop.sendfile(transport, file, offset, count, fallback=False)  # type: ignore[arg-type]
    except TimeoutError:
        abort(exchange)
        raise ClientLeft("the client stopped reading") from None
    except (ConnectionError, RuntimeError) as error:
        raise ClientLeft("the client left") from error
    if done != count:
        abort(exchange)
        raise BrokenOff("the file is shorter than it was")


async def _prepare(exchange: Exchange, response: web.StreamResponse) -> None:
    """Headers leave at once: containerd gives up after 30 s without them, and sendfile passes by the buffers."""
    writer = await response.prepare(exchange.request)
    if writer is not None:
        writer.send_headers()


async def _write(exchange: Exchange, response: web.StreamResponse, piece: bytes) -> None:
    try:
        async with asyncio.timeout(exchange.stall):
            await response.write(piece)
    except TimeoutError:
        abort(exchange)
        raise ClientLeft("the client stopped reading") from None
    except ConnectionError as error:
        raise ClientLeft("the client left") from error
    exchange.sent += len(piece)


async def _end(exchange: Exchange, response: web.StreamResponse) -> None:
    try:
        async with asyncio.timeout(exchange.stall):
            await response.write_eof()
    except TimeoutError:
        abort(exchange)
        raise ClientLeft("the client stopped reading") from None
    except ConnectionError as error:
        raise ClientLeft("the client left") from error


def abort(exchange: Exchange) -> None:
    """Break the connection, so that no client can take what it has for the whole."""
    transport = exchange.request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
