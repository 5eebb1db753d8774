"""What changes an App Registry, as it comes from a client: a bounded body, in its turn, passed on as it is."""

import asyncio
import io
from contextlib import AsyncExitStack

from aiohttp import web

from apprproxy.appregistry.bodies import TURN, Bodies, Body
from apprproxy.appregistry.writes import MAX_BODY, parse_write
from apprproxy.core.errors import Crowded, Denied, Malformed, TooLarge
from apprproxy.core.model import Cache, Verdict, Write
from apprproxy.core.ports.upstream import Reply
from apprproxy.core.threads import in_turn
from apprproxy.face.exchange import Exchange
from apprproxy.face.places import Places
from apprproxy.face.send import ClientLeft, abort, go_ahead, send_body
from apprproxy.gateway.gateway import Gateway


class Forwarding:
    def __init__(self, gateway: Gateway, places: Places) -> None:
        self._gateway = gateway
        self._places = places
        self._bodies: dict[str, Bodies] = {}
        self._reading = asyncio.Lock()
        self._under_way: set[asyncio.Task[tuple[str, Reply]]] = set()

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        change = parse_write(exchange.method, exchange.target, self._places.at(exchange.host))
        exchange.name = change.package or change.path
        taker = self._gateway.taker(change.place, change.package)
        asked = exchange.request.headers
        if "Origin" in asked:  # any page can have a browser send this, and every browser says so (the Fetch standard)
            raise Denied("a web page sent this (Origin), and clients of App Registry are none")
        async with AsyncExitStack() as stack:
            place = self._bodies.setdefault(taker, Bodies()).place(exchange.request.remote or "", taker)
            content = await _received(exchange, await stack.enter_async_context(place))
            write = await in_turn(
                self._reading, change.with_body, content, asked.get("Content-Type", ""), asked.get("Authorization")
            )
            task = self._begin(write, stack.pop_all())
        upstream, reply = await asyncio.shield(task)
        headers = {
            **exchange.found(Verdict(Cache.BYPASS), upstream, "no-store"),
            "Content-Type": _fit(reply.headers.get("content-type", "")),
        }
        return await send_body(exchange, reply.status, reply.body, headers)

    def _begin(self, write: Write, place: AsyncExitStack) -> asyncio.Task[tuple[str, Reply]]:
        """It goes on without its client, who cannot take it back: what the upstream has taken is to be forgotten here.
        The place is given back when it has ended."""
        task = asyncio.create_task(self._forwarded(write, place), name=f"write {write.repository}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _forwarded(self, write: Write, place: AsyncExitStack) -> tuple[str, Reply]:
        async with place:
            return await self._gateway.forward(write)

    def _ended(self, task: asyncio.Task[tuple[str, Reply]]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # it may be that nobody waits to be told


def _fit(content_type: str) -> str:
    """A foreign field as it may stand in our answer."""
    return content_type if content_type.isascii() and content_type.isprintable() and content_type else "text/plain"


async def _received(exchange: Exchange, body: Body) -> bytes:
    """Raises TooLarge, Crowded where it gave way to others, or ClientLeft where the client is too slow."""
    request, now = exchange.request, asyncio.get_running_loop().time
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise _too_large()
    if any(coding.lower() != "identity" for coding in request.headers.getall("Content-Encoding", ())):
        raise Malformed(
            "the body is coded (Content-Encoding), of which the upstream would not be told: send it as it is"
        )
    await go_ahead(exchange)
    content = io.BytesIO()  # gives what it has without a copy
    try:
        async with asyncio.timeout_at(body.due(now(), exchange.stall)) as body.deadline:
            while chunk := await request.content.readany():
                content.write(chunk)
                body.received = content.tell()
                if body.received > MAX_BODY:
                    raise _too_large()
                if body.is_coming:
                    body.deadline.reschedule(body.due(now(), exchange.stall))
    except TimeoutError:
        if body.gave_way:
            raise Crowded("this body gave way to others, who waited", TURN) from None
        abort(exchange)
        raise ClientLeft("the client stopped sending, or sent too slowly") from None
    finally:
        body.deadline = None
    return content.getvalue()


def _too_large() -> TooLarge:
    return TooLarge(f"the body is larger than the {MAX_BODY} bytes that are taken")
