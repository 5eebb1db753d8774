"""One upstream over HTTP: a request in, an authenticated answer out, redirects followed under the guard.

Whatever goes wrong on the way is raised as an UpstreamFault; nothing foreign escapes.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from apprproxy.core.errors import Forbidden, Outage, Throttled, TooSlow, Unauthorized, UpstreamFault
from apprproxy.core.events import Asked, CredentialRefused
from apprproxy.core.ports import Brief, Clock, Incoming, Observer, Reply, Request
from apprproxy.upstream.auth import (
    MAX_TOKEN_ANSWER,
    Account,
    NotAToken,
    Obtain,
    Token,
    TokenWant,
    Try,
    dance,
    forget_scope,
    read_token,
)
from apprproxy.upstream.challenge import Challenge, read_challenges
from apprproxy.upstream.guard import MAX_REDIRECTS, Guard, InnerAddress, Refused, redact
from apprproxy.upstream.sessions import Sessions
from apprproxy.upstream.tokens import Tokens

_REDIRECTS = {301, 302, 303, 307, 308}


class HttpUpstream:
    """``account`` gives the credential as it is now: secrets are files that change. ``unasked`` presents it without a
    challenge. ``close`` when done."""

    def __init__(
        self,
        name: str,
        guard: Guard,
        sessions: Sessions,
        account: Callable[[], Account | None],
        brief: Brief,
        observer: Observer,
        now: Clock,
        *,
        unasked: bool = False,
    ) -> None:
        self.name = name
        self._guard = guard
        self._sessions = sessions
        self._account = account
        self._observer = observer
        self._now = now
        self._unasked = unasked
        self._known: Challenge | None = None
        self._tokens = Tokens(name, brief, self._request_token)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Incoming]:
        began = time.monotonic()
        answer: _Answer | None = None
        try:
            async with self._translated():
                answer = await self._welcomed(request)
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise Outage(self.name, "sent a coded body where identity was asked for", answer.status)
            yield answer
        finally:
            if answer is not None:
                answer.close()
            status = str(answer.status) if answer is not None else "error"
            received = answer.received if answer is not None else 0
            spent = time.monotonic() - began
            self._observer(Asked(self.name, "owner", request.kind, status, spent, received))

    async def send(self, request: Request) -> Reply:
        async with self.open(request) as incoming:
            body = bytearray()
            async for chunk in incoming.chunks():
                body += chunk
                if len(body) > request.limit:
                    raise Outage(self.name, f"sent more than the {request.limit} bytes that are taken", incoming.status)
            return Reply(incoming.status, incoming.headers, bytes(body))

    # --- authentication

    async def _welcomed(self, request: Request) -> "_Answer":
        """Counts a refusal of our credential, whatever it was asked for."""
        try:
            return await self._authenticated(request)
        except Unauthorized as refusal:
            if refusal.presented:
                self._observer(CredentialRefused(self.name, refusal.status or 401))
            raise

    async def _authenticated(self, request: Request) -> "_Answer":
        if request.as_caller:
            return await self._redirected(request, request.authorization)
        account = self._account()
        steps = dance(account, request.scope, self._known, unasked=self._unasked)
        answer: _Answer | None = None
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
                tried, answer = step, await self._redirected(request, step.authorization)
                if answer.status != 401:
                    break
                sent = answer.challenges()
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

    async def _obtained(self, step: Obtain, account: Account | None) -> str:
        try:
            return await self._tokens.get(step, account)
        except UpstreamFault:
            self._known = None  # so that the next request hears the challenge anew
            raise

    def _unwelcome(self, answer: "_Answer", *, presented: bool) -> UpstreamFault | None:
        """What the statuses that mean the same in every protocol mean."""
        match answer.status:
            case 401:
                presented = presented and answer.origin == self._guard.base.origin()
                whose = "refused our credential" if presented else "does not let us in without a credential; see auth"
                return Unauthorized(self.name, f"{whose} ({answer.status})", answer.status, presented=presented)
            case 429 | 503:
                wait = self._wait(answer.headers.get("retry-after", ""))
                return Throttled(self.name, f"answered {answer.status}", answer.status, wait)
            case _:
                return None

    async def _request_token(self, want: TokenWant, account: Account | None) -> Token:
        """Ask the realm, if it may be asked."""
        try:
            realm = self._guard.realm(want.realm)
        except Refused as refusal:
            raise Forbidden(self.name, str(refusal)) from None
        url = URL(want.url(account), encoded=True)
        headers = {"Accept": "application/json"}
        if account is not None:
            headers["Authorization"] = account.basic()
        began = time.monotonic()
        status = "error"
        try:
            async with (
                self._translated(),
                self._session(url).get(
                    url, headers=headers, allow_redirects=False, proxy=self._sessions.proxy(url)
                ) as response,
            ):
                status = str(response.status)
                body = await _beginning(response.content, MAX_TOKEN_ANSWER)
        finally:
            self._observer(Asked(self.name, "owner", "token", status, time.monotonic() - began))
        if response.status in (401, 403):
            whose = "refused our credential" if account else "gives no token without a credential; see auth"
            raise Unauthorized(
                self.name, f"its token server {realm.host} {whose}", response.status, presented=account is not None
            )
        if response.status != 200:
            raise Outage(self.name, f"its token server {realm.host} answered {response.status}")
        try:
            return read_token(body)
        except NotAToken as error:
            raise Outage(self.name, f"its token server {realm.host}: {error}") from None

    def _session(self, url: URL) -> aiohttp.ClientSession:
        return self._sessions.own(bulk=False) if self._guard.near(url) else self._sessions.abroad(url)

    # --- redirects

    async def _redirected(self, request: Request, authorization: str | None) -> "_Answer":
        url = self._url(request)
        session = self._sessions.own(bulk=request.bulk)
        for _ in range(MAX_REDIRECTS + 1):
            headers = {"Accept-Encoding": "identity", **request.headers}
            if authorization is not None:
                headers["Authorization"] = authorization
            response = await session.request(
                request.method,
                url,
                headers=headers,
                data=request.body,
                allow_redirects=False,
                proxy=self._sessions.proxy(url),
            )
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None or request.method not in ("GET", "HEAD"):
                return _Answer(self.name, response)
            response.close()
            url, session = self._next(url, location, bulk=request.bulk)
            if url.origin() != self._guard.base.origin():
                authorization = None  # for good: a foreign host must not choose what is asked in our name
        raise Forbidden(self.name, f"redirects more than {MAX_REDIRECTS} times, last to {redact(url)}")

    def _url(self, request: Request) -> URL:
        base = self._guard.base
        query = f"?{request.query}" if request.query else ""
        return URL(f"{base.origin()}{base.raw_path.rstrip('/')}{request.path}{query}", encoded=True)

    def _next(self, url: URL, location: str, *, bulk: bool) -> tuple[URL, aiohttp.ClientSession]:
        if not location.isascii():
            raise Forbidden(self.name, "redirects to what is not a URL")
        try:
            target = url.join(URL(location, encoded=True)).with_fragment(None)
            trusted = self._guard.redirect(url, target)
        except Refused as refusal:
            raise Forbidden(self.name, str(refusal)) from None
        except ValueError:
            raise Forbidden(self.name, "redirects to what is not a URL") from None
        return target, self._sessions.own(bulk=bulk) if trusted else self._sessions.abroad(target)

    # --- failures, translated once

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise translate(self.name, error) from error

    def _wait(self, text: str) -> float | None:
        """Retry-After (RFC 9110, section 10.2.3) in seconds."""
        if text.isdecimal() and len(text) < 9:
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._now())
        except (ValueError, OverflowError):
            return None

    async def close(self) -> None:
        await self._sessions.close()


class _Answer:
    """An answer whose body is read in chunks, to the length it announced."""

    def __init__(self, name: str, response: aiohttp.ClientResponse) -> None:
        self._name = name
        self._response = response
        self.status = response.status
        self.origin = response.url.origin()
        self.headers: Mapping[str, str] = {
            key.lower(): ", ".join(response.headers.getall(key)) for key in response.headers
        }
        self.received = 0

    def challenges(self) -> list[Challenge]:
        return read_challenges(self._response.headers.getall("WWW-Authenticate", []))

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                self.received += len(chunk)
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise translate(self._name, error, self.received) from error

    def close(self) -> None:
        """Give the connection back if the body has been read, else close it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


async def _beginning(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body up to about so much: one ``read`` gives only what has come so far."""
    body = b""
    while len(body) < limit and (piece := await content.read(limit)):
        body += piece
    return body


def translate(name: str, error: Exception, received: int | None = None) -> UpstreamFault:
    """A library's exception as ours, in words of the field and without secrets."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, InnerAddress):
        inner = getattr(inner, "os_error", None) or inner.__cause__
    if isinstance(inner, InnerAddress):
        return Forbidden(name, f"a redirect to {inner.sentence} is not followed; if it is right, add it to redirects")
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return Outage(name, f"TLS failed: {_reason(error)}")
        case aiohttp.ClientConnectorDNSError():
            return Outage(name, f"the host name {error.host} cannot be resolved")
        case aiohttp.ConnectionTimeoutError():
            return TooSlow(name, "no connection in time")
        case aiohttp.SocketTimeoutError() | TimeoutError() | asyncio.TimeoutError():
            return TooSlow(name, "sent nothing in time" if received is None else f"stalled after {received} bytes")
        case aiohttp.ClientConnectorError():
            return Outage(name, f"no connection: {_reason(error)}")
        case aiohttp.ClientPayloadError():
            return Outage(name, f"broke off after {received} bytes")
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return Outage(name, "closed the connection")
        case aiohttp.ClientResponseError():
            return Outage(name, "did not answer in HTTP")
        case _:
            return Outage(name, f"no answer: {type(error).__name__}")


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    text = getattr(inner, "strerror", None) or type(inner).__name__
    return str(text)
