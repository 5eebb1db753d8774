"""An upstream's answer read whole, up to a limit."""

from collections.abc import Callable

from apprproxy.core.errors import Outage
from apprproxy.core.ports.upstream import Incoming, Reply, Request, Upstream

Grown = Callable[[int], None]
"""Told how much of a body has come; what it raises ends it."""


def _whatever(_: int) -> None:
    """However long it is."""


async def answer_of(upstream: Upstream, request: Request) -> Reply:
    """The whole of it; raises UpstreamFault."""
    async with upstream.open(request) as incoming:
        return await replied(upstream.name, incoming, request)


async def replied(name: str, incoming: Incoming, request: Request, grown: Grown = _whatever) -> Reply:
    """The answer to a request, with its body unless that was not asked for; raises Outage."""
    if request.headers_only and incoming.status in (200, 206):
        return Reply(incoming.status, incoming.headers)
    return await whole(name, incoming, request.limit, grown)


async def whole(name: str, incoming: Incoming, limit: int, grown: Grown = _whatever) -> Reply:
    """``name`` is whose answer it is; raises Outage, also where it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in incoming.chunks():
        body += chunk
        if len(body) > limit:
            raise Outage(name, f"sent more than the {limit} bytes that are taken", incoming.status)
        grown(len(body))
    return Reply(incoming.status, incoming.headers, bytes(body))
