"""Asking a token server, where the guard lets us (distribution, "Token Authentication Specification")."""

import asyncio
import time

import aiohttp
from yarl import URL

from apprproxy.core.errors import Forbidden, NoFiles, Outage, Unauthorized, UpstreamFault
from apprproxy.core.events import Asked, Observer
from apprproxy.core.label import Label
from apprproxy.core.ports.upstream import Lane
from apprproxy.upstream.answer import translated
from apprproxy.upstream.auth import MAX_TOKEN_ANSWER, Account, NotAToken, Token, TokenWant, read_token
from apprproxy.upstream.guard import Guard, Refused
from apprproxy.upstream.sessions import Sessions

LONGEST = 30.0
"""Seconds for a whole answer: a token server that drips holds up every transfer of its upstream."""


class TokenServer:
    def __init__(self, label: Label, guard: Guard, sessions: Sessions, observer: Observer) -> None:
        self._label = label
        self._name = label.name
        self._guard = guard
        self._sessions = sessions
        self._observer = observer

    async def __call__(self, want: TokenWant, account: Account | None) -> Token:
        """Ask the realm, if it may be asked; raises UpstreamFault."""
        try:
            realm = self._guard.realm(want.realm)
        except Refused as refusal:
            raise Forbidden(self._name, str(refusal)) from None
        url = URL(want.url(account), encoded=True)
        headers = {"Accept": "application/json"}
        if account is not None:
            headers["Authorization"] = account.basic()
        began = time.monotonic()
        status, asked = "error", True
        try:
            with translated(self._name):
                async with (
                    asyncio.timeout(LONGEST),
                    self._session(url).get(
                        url, headers=headers, allow_redirects=False, proxy=self._sessions.proxy(url)
                    ) as response,
                ):
                    status = str(response.status)
                    body = await _beginning(response.content, MAX_TOKEN_ANSWER)
        except UpstreamFault as fault:
            asked = not isinstance(fault, NoFiles)
            raise type(fault)(self._name, f"its token server {realm.host}: {fault.sentence}") from fault
        finally:
            spent = time.monotonic() - began
            if asked:
                self._observer(Asked(self._label.upstream, self._label.source, "token", status, spent, answered=spent))
        if response.status in (401, 403):
            whose = "refused our credential" if account else "gives no token without a credential; see auth"
            raise Unauthorized(
                self._name, f"its token server {realm.host} {whose}", response.status, presented=account is not None
            )
        if response.status != 200:
            raise Outage(self._name, f"its token server {realm.host} answered {response.status}")
        try:
            return read_token(body)
        except NotAToken as error:
            raise Outage(self._name, f"its token server {realm.host}: {error}") from None

    def _session(self, url: URL) -> aiohttp.ClientSession:
        trusted, at_its_host = self._guard.near(url), self._guard.at_its_host(url)
        return self._sessions.towards(url, Lane.TOKENS, trusted=trusted, at_its_host=at_its_host)


async def _beginning(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body up to about so much: one ``read`` gives only what has come so far."""
    body = b""
    while len(body) < limit and (piece := await content.read(limit)):
        body += piece
    return body
