"""A request to an upstream and on to wherever it redirects, each hop under the guard."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
from yarl import URL

from apprproxy.core.errors import Forbidden, LedAway, NoConnection, Unreachable
from apprproxy.core.model import KIB
from apprproxy.core.ports.upstream import Lane, Request
from apprproxy.upstream.answer import HttpAnswer, translate
from apprproxy.upstream.guard import MAX_REDIRECTS, Guard, Refused, foreign_url, redact
from apprproxy.upstream.sessions import Sessions

WRITE = 600.0
"""Seconds for a body to be sent and answered."""
PIECE = 256 * KIB
"""Of a body: what does not leave at once is copied, and a long one whole would hold up everybody else."""
_REDIRECTS = {301, 302, 303, 307, 308}


class Hops:
    def __init__(self, name: str, guard: Guard, sessions: Sessions) -> None:
        self._name = name
        self._guard = guard
        self._sessions = sessions

    async def follow(self, request: Request, authorization: str | None) -> HttpAnswer:
        """The first answer that redirects nowhere, which the caller closes; raises Forbidden, and the library's own
        exceptions. Only reading is redirected."""
        url = self._url(request)
        session = self._sessions.own(request.lane)
        body = request.body or b""
        for _ in range(MAX_REDIRECTS + 1):
            headers = {"Accept-Encoding": "identity", **request.headers}
            if authorization is not None:
                headers["Authorization"] = authorization
            if len(body) > PIECE:
                headers["Content-Length"] = str(len(body))
            limit = self._sessions.headers_by if request.body is None else WRITE
            with self._led_to(url):
                async with asyncio.timeout(limit):
                    response = await session.request(
                        request.method,
                        url,
                        headers=headers,
                        data=_in_pieces(body) if len(body) > PIECE else request.body,
                        allow_redirects=False,
                        proxy=self._sessions.proxy(url),
                    )
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None or request.method not in ("GET", "HEAD"):
                return HttpAnswer(self._name, response, self._sessions.stall, self._sessions.least)
            response.close()
            url, session = self._next(url, location, request.lane)
            if url.origin() != self._guard.base.origin():
                authorization = None  # for good: a foreign host must not choose what is asked in our name
        raise Forbidden(self._name, f"redirects more than {MAX_REDIRECTS} times, last to {redact(url)}")

    @contextmanager
    def _led_to(self, url: URL) -> Iterator[None]:
        """Raises LedAway where another host than the upstream's own cannot be reached."""
        try:
            yield
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = translate(self._name, error)
            if url.origin() == self._guard.base.origin() or not isinstance(fault, (Unreachable, NoConnection)):
                raise
            raise LedAway(self._name, f"redirects to {url.host}: {fault.sentence}") from error

    def _url(self, request: Request) -> URL:
        base = self._guard.base
        query = f"?{request.query}" if request.query else ""
        return URL(f"{base.origin()}{base.raw_path.rstrip('/')}{request.path}{query}", encoded=True)

    def _next(self, url: URL, location: str, lane: Lane) -> tuple[URL, aiohttp.ClientSession]:
        try:
            target = url.join(foreign_url(location)).with_fragment(None)
            trusted = self._guard.redirect(url, target)
        except Refused as refusal:
            raise Forbidden(self._name, str(refusal)) from None
        except ValueError:
            raise Forbidden(self._name, "redirects to what is not a URL") from None
        at_its_host = self._guard.at_its_host(target)
        return target, self._sessions.towards(target, lane, trusted=trusted, at_its_host=at_its_host)


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]
