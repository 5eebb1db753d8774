"""What changes an App Registry, as it comes from a client: a bounded body, in its turn, passed on as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from apprproxy.appregistry.writes import MAX_BODY, parse_write
from apprproxy.core.errors import Throttled, TooLarge
from apprproxy.core.model import Cache, Place, Verdict
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import about
from apprproxy.face.places import Places
from apprproxy.face.send import ClientLeft, abort, send_body
from apprproxy.gateway.gateway import Gateway

AT_ONCE = 4
"""Bodies in memory at the most."""
TURN = 30.0
"""Seconds that a client waits for others' writes before it is told to come back."""
LONGEST = 600.0
"""Seconds for a whole body."""


class Forwarding:
    def __init__(self, gateway: Gateway, places: Places) -> None:
        self._gateway = gateway
        self._places = places
        self._room = asyncio.Semaphore(AT_ONCE)

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        change = parse_write(exchange.method, exchange.target, self._places.at(exchange.host))
        exchange.name = change.package or change.path
        self._gateway.may_forward(change.place, change.package)
        asked = exchange.request.headers
        async with self._turn(change.place):
            body = await _bounded_body(exchange)
            write = await asyncio.to_thread(
                change.with_body, body, asked.get("Content-Type", ""), asked.get("Authorization")
            )
            upstream, reply = await self._gateway.forward(write)
        verdict = Verdict(Cache.BYPASS)
        exchange.found(verdict, upstream)
        headers = {
            **about(verdict, upstream, "no-store"),
            "Content-Type": _fit(reply.headers.get("content-type", "")),
        }
        return await send_body(exchange, reply.status, reply.body, headers)

    @asynccontextmanager
    async def _turn(self, place: Place) -> AsyncIterator[None]:
        """Raises Throttled where others take too long."""
        try:
            await asyncio.wait_for(self._room.acquire(), TURN)
        except TimeoutError:
            raise Throttled(place.name, f"{AT_ONCE} writes are under way here already", 503, TURN) from None
        try:
            yield
        finally:
            self._room.release()


def _fit(content_type: str) -> str:
    """A foreign field as it may stand in our answer."""
    return content_type if content_type.isascii() and content_type.isprintable() and content_type else "text/plain"


async def _bounded_body(exchange: Exchange) -> bytes:
    """Raises TooLarge, or ClientLeft where the client stops sending."""
    request = exchange.request
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise TooLarge(f"the body is larger than the {MAX_BODY} bytes that are taken")
    body = bytearray()
    try:
        async with asyncio.timeout(LONGEST):
            while chunk := await asyncio.wait_for(request.content.readany(), exchange.stall):
                body += chunk
                if len(body) > MAX_BODY:
                    raise TooLarge(f"the body is larger than the {MAX_BODY} bytes that are taken")
    except TimeoutError:
        abort(exchange)
        raise ClientLeft("the client stopped sending") from None
    return bytes(body)
