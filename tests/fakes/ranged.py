"""A registry that knows ranges, and stops where it is told to: each takes the request and the honest answer."""

import re
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from tests.fakes.clock import Gate
from tests.fakes.lies import Behaviour, Honest, honestly

_PIECE = 65536


def part_of(request: web.BaseRequest, answer: Honest) -> tuple[Honest, int]:
    """The part that was asked for, and where it begins."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked is None or answer.status != 200 or request.method == "HEAD":
        return answer, 0
    size, start = len(answer.body), int(asked[1])
    if start >= size:
        return Honest(416, b"no such part", {"Content-Range": f"bytes */{size}"}), 0
    stop = min(int(asked[2]) + 1, size) if asked[2] else size
    headers = {**answer.headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
    return Honest(206, answer.body[start:stop], headers), start


async def by_range(request: web.BaseRequest, answer: Honest) -> web.StreamResponse:
    return await honestly(request, part_of(request, answer)[0])


def lying_by_range(start: int = 0, total: int = 0) -> Behaviour:
    """Honest bytes under a Content-Range that is off by so much."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        part, begin = part_of(request, honest)
        if part.status == 206:
            said = f"bytes {begin + start}-{len(honest.body) - 1}/{len(honest.body) + total}"
            part = replace(part, headers={**part.headers, "Content-Range": said})
        return await honestly(request, part)

    return answer


def stopping_at(*stops: tuple[int, Gate | None], body: bytes | None = None, ranges: bool = True) -> Behaviour:
    """At each of these bytes of the whole it waits for the gate, or hangs up where there is none. ``body`` is sent in
    place of the honest one."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        sent = replace(honest, body=body) if body is not None and honest.status == 200 else honest
        part, begin = part_of(request, sent) if ranges else (sent, 0)
        response = web.StreamResponse(status=part.status, headers=part.headers)
        response.content_length = len(part.body)
        writer = await response.prepare(request)
        assert writer is not None
        writer.send_headers()
        if request.method == "HEAD":
            return response
        at = 0
        for stop, gate in stops:
            upto = max(at, min(len(part.body), stop - begin))
            await _pour(response, part.body[at:upto])
            at = upto
            if gate is None:
                assert request.transport is not None
                request.transport.close()
                return response
            await gate()
        await _pour(response, part.body[at:])
        await response.write_eof()
        return response

    return answer


async def _pour(response: web.StreamResponse, content: bytes) -> None:
    for at in range(0, len(content), _PIECE):
        await response.write(content[at : at + _PIECE])


def ranges_asked(seen: Sequence[object]) -> list[str]:
    """The Range of each GET of a blob, empty where there was none."""
    found = []
    for one in seen:
        method, kind = getattr(one, "method", ""), getattr(one, "kind", "")
        if (method, kind) == ("GET", "blob"):
            found.append(str(getattr(one, "headers", {}).get("range", "")))
    return found
