"""Ways to misbehave: each takes the request and the honest answer, and makes of them what it likes."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat

from aiohttp import web

from tests.fakes.clock import Gate


@dataclass(frozen=True, slots=True)
class Honest:
    """The answer of a registry that does as it should."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Behaviour = Callable[[web.BaseRequest, Honest], Awaitable[web.StreamResponse]]


async def honestly(request: web.BaseRequest, answer: Honest) -> web.StreamResponse:
    """What HEAD announces is what GET would bring."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(answer.body)
    await response.write_eof()
    return response


def says(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Something else altogether; header names with underscores for hyphens."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        return await honestly(request, Honest(status, body, fields))

    return answer


def page(status: int) -> Behaviour:
    """What a load balancer says when the registry behind it is away."""
    return says(status, b"<html><body>Sorry!</body></html>", Content_Type="text/html")


def without(header: str) -> Behaviour:
    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        headers = {name: value for name, value in honest.headers.items() if name.lower() != header.lower()}
        return await honestly(request, Honest(honest.status, honest.body, headers))

    return answer


def waiting_for(gate: Gate, then: Behaviour = honestly) -> Behaviour:
    """Nothing at all before the gate opens."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        await gate()
        return await then(request, honest)

    return answer


def headers_then(gate: Gate, body: bytes | None = None) -> Behaviour:
    """Headers at once; the body, or ``body`` in its place, once the gate opens."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        sent = honest.body if body is None else body
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.content_length = len(honest.body)
        writer = await response.prepare(request)
        assert writer is not None
        writer.send_headers()
        await gate()
        await response.write(sent)
        await response.write_eof()
        return response

    return answer


def late(seconds: float) -> Behaviour:
    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await honestly(request, honest)

    return answer


def rest_then(gate: Gate, last: int) -> Behaviour:
    """All but the last bytes at once; those once the gate opens."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.content_length = len(honest.body)
        await response.prepare(request)
        await response.write(honest.body[:-last])
        await gate()
        await response.write(honest.body[-last:])
        await response.write_eof()
        return response

    return answer


def until_it_ends(body: bytes) -> Behaviour:
    """A body without a length, which ends with its connection."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        request.transport.close()  # once it has been written
        return web.Response()

    return answer


def chunked(body: bytes, status: int = 200) -> Behaviour:
    """A body whose length nobody announces."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        headers = {name: value for name, value in honest.headers.items() if name.lower() != "content-length"}
        response = web.StreamResponse(status=status, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(body), 65536):
            await response.write(body[at : at + 65536])
        await response.write_eof()
        return response

    return answer


def chunked_until(gate: Gate, upto: int) -> Behaviour:
    """The honest body, whose length nobody announces; the rest once the gate opens."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(honest.body[:upto])
        await gate()
        await response.write(honest.body[upto:])
        await response.write_eof()
        return response

    return answer


def in_pieces(count: int) -> Behaviour:
    """The honest body, each piece in a segment of its own."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.content_length = len(honest.body)
        await response.prepare(request)
        step = len(honest.body) // count + 1
        for at in range(0, len(honest.body), step):
            await response.write(honest.body[at : at + step])
            await asyncio.sleep(0.01)  # the receiver must meet each piece alone: that is the point
        await response.write_eof()
        return response

    return answer


def dripping(every: float, piece: int) -> Behaviour:
    """A little, and a little more each so many seconds."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.content_length = len(honest.body)
        await response.prepare(request)
        for at in range(0, len(honest.body), piece):
            await response.write(honest.body[at : at + piece])
            await asyncio.sleep(every)  # the receiver must wait: that is the point
        return response

    return answer


def cut_off(after: int) -> Behaviour:
    """The honest headers and a beginning; then the connection goes."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        response = web.StreamResponse(status=honest.status, headers=honest.headers)
        response.content_length = len(honest.body)
        await response.prepare(request)
        await response.write(honest.body[:after])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


async def hangs_up(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
    """Not a word."""
    assert request.transport is not None
    request.transport.close()
    return web.StreamResponse()


def endless(piece: bytes = b"x" * 65536) -> Behaviour:
    """More and more, until the receiver has enough."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in repeat(piece):
            await response.write(part)
        return response

    return answer


def zipped(request: web.BaseRequest, honest: Honest) -> Awaitable[web.StreamResponse]:
    """Coded although identity was asked for."""
    headers = {**honest.headers, "Content-Encoding": "gzip"}
    return honestly(request, Honest(honest.status, gzip.compress(honest.body), headers))


def redirects(to: str, status: int = 307) -> Behaviour:
    return says(status, b"", Location=to)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, the last for ever."""
    turns = chain(behaviours, repeat(behaviours[-1]))

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        return await next(turns)(request, honest)

    return answer
