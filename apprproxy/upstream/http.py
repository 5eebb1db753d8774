"""One upstream over HTTP: a request in, an authenticated answer out, redirects followed under the guard.

Whatever goes wrong on the way is raised as an UpstreamFault; nothing foreign escapes.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

from apprproxy.core.errors import NoFiles, Outage, Throttled, Unauthorized, UpstreamFault
from apprproxy.core.events import Asked, CredentialRefused, Observer
from apprproxy.core.label import Label
from apprproxy.core.model import Clock
from apprproxy.core.ports.store import Brief
from apprproxy.core.ports.upstream import Incoming, Request, is_beyond, is_not_held
from apprproxy.upstream.accounts import Accounts
from apprproxy.upstream.answer import HttpAnswer, translated
from apprproxy.upstream.auth import Account, Obtain, Obtained, Try, dance, forget_scope
from apprproxy.upstream.challenge import Challenge
from apprproxy.upstream.guard import Guard
from apprproxy.upstream.hops import Hops
from apprproxy.upstream.sessions import Sessions
from apprproxy.upstream.token_server import TokenServer
from apprproxy.upstream.tokens import Tokens


class HttpUpstream:
    """``account`` gives the credential as it is now: secrets are files that change. ``unasked`` presents it without a
    challenge. ``close`` when done."""

    def __init__(
        self,
        label: Label,
        guard: Guard,
        sessions: Sessions,
        account: Accounts,
        brief: Brief,
        observer: Observer,
        now: Clock,
        *,
        unasked: bool = False,
    ) -> None:
        self.name = label.name
        self._label = label
        self._guard = guard
        self._sessions = sessions
        self._account = account
        self._observer = observer
        self._now = now
        self._unasked = unasked
        self._known: Challenge | None = None
        self._hops = Hops(self.name, guard, sessions)
        self._tokens = Tokens(self.name, brief, TokenServer(label, guard, sessions, observer))

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Incoming]:
        began, label = time.monotonic(), self._label
        answer: HttpAnswer | None = None
        status, answered, received, whole, asked = "error", 0.0, 0, False, True
        try:
            try:
                with translated(self.name):
                    answer = await self._welcomed(request)
            except UpstreamFault as fault:
                status, asked = str(fault.status or status), not isinstance(fault, NoFiles)
                raise
            status, answered = str(answer.status), time.monotonic() - began
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise Outage(self.name, "sent a coded body where identity was asked for", answer.status)
            yield answer
            whole = True
        finally:
            if answer is not None:
                answer.close()
                received = answer.received
            spent = time.monotonic() - began
            if asked:
                waited, away = spent if answer is None else answered, answer is None
                lacks = request.only_held and answer is not None and is_not_held(answer.status, answer.headers)
                self._observer(
                    Asked(
                        label.upstream, label.source, request.kind, status, spent, received, waited, away, whole, lacks
                    )
                )

    # --- authentication

    async def _welcomed(self, request: Request) -> HttpAnswer:
        """Counts a refusal of our credential, whatever it was asked for."""
        try:
            return await self._authenticated(request)
        except Unauthorized as refusal:
            if refusal.presented:
                self._observer(CredentialRefused(self._label.upstream, refusal.status or 401))
            raise

    async def _authenticated(self, request: Request) -> HttpAnswer:
        if request.as_caller:
            return await self._hops.follow(request, request.authorization)
        account = self._account()
        steps = dance(account, request.scope, self._known, unasked=self._unasked)
        answer: HttpAnswer | None = None
        tried = Try(None, presented=False)
        sent: object = None
        try:
            while True:
                step = steps.send(sent)
                if isinstance(step, Obtain):
                    sent = await self._obtained(step, account)
                    continue
                if answer is not None:
                    answer.close()
                tried, answer = step, await self._hops.follow(request, step.authorization)
                if answer.status != 401:
                    break
                sent = answer.challenges() if self._at_home(answer) else []
        except StopIteration:
            pass
        except BaseException:
            if answer is not None:
                answer.close()
            raise
        assert answer is not None
        if tried.answers is not None and answer.status != 401:
            self._known = forget_scope(tried.answers)
        if (failure := self._unwelcome(answer, presented=tried.presented)) is not None:
            answer.close()
            raise failure
        return answer

    async def _obtained(self, step: Obtain, account: Account | None) -> Obtained:
        try:
            return await self._tokens.get(step, account)
        except UpstreamFault:
            self._known = None  # so that the next request hears the challenge anew
            raise

    def _unwelcome(self, answer: HttpAnswer, *, presented: bool) -> UpstreamFault | None:
        """What the statuses that mean the same in every protocol mean."""
        match answer.status:
            case 401:
                return self._refused(answer, presented=presented)
            case 429 | 503:
                wait = told_wait(answer.headers.get("retry-after", ""), self._now())
                beyond = is_beyond(answer.status, answer.headers)
                later = f", to come back in {wait:.0f} s" if wait else ""
                return Throttled(self.name, f"answered {answer.status}{later}", answer.status, wait, beyond=beyond)
            case 508:
                return Outage(self.name, "leads back to this gateway: requests would go round in a circle", 508)
            case _:
                return None

    def _refused(self, answer: HttpAnswer, *, presented: bool) -> Unauthorized:
        """Elsewhere no credential of ours was presented, and none will be: a foreign host must not choose where our
        password goes, nor what for."""
        if not self._at_home(answer):
            where = f"redirects to {answer.origin.host}, which does not let us in (401)"
            return Unauthorized(self.name, where, 401, presented=False)
        whose = "refused our credential" if presented else "does not let us in without a credential; see auth"
        return Unauthorized(self.name, f"{whose} (401)", 401, presented=presented)

    def _at_home(self, answer: HttpAnswer) -> bool:
        return answer.origin == self._guard.base.origin()

    async def close(self) -> None:
        await self._sessions.close()


def told_wait(text: str, now: float) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3) in seconds; None where that cannot be told."""
    if text.isascii() and text.isdecimal() and len(text) < 9:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
