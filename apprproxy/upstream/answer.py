"""What came back over HTTP, and what went wrong on the way: aiohttp's answers and exceptions as ours."""

import asyncio
import errno
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import aiohttp

from apprproxy.core.errors import Forbidden, NoConnection, NoFiles, Outage, TooSlow, Unreachable, UpstreamFault
from apprproxy.upstream.challenge import Challenge, read_challenges
from apprproxy.upstream.guard import InnerAddress


class HttpAnswer:
    """An answer whose body is read in chunks, to the length it announced. ``stall`` is how long it may send nothing,
    and ``least`` how many bytes it must have sent within that time while we waited for it."""

    def __init__(self, name: str, response: aiohttp.ClientResponse, stall: float, least: int = 0) -> None:
        self._name = name
        self._stall = stall
        self._least = least
        self._waited, self._came = 0.0, 0
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
            while chunk := await self._next():
                self.received += len(chunk)
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise translate(self._name, error, self.received) from error

    async def _next(self) -> bytes:
        """What has come, empty at the end. The time is our own: the library's is not kept where it meets a malformed
        chunk in the middle of a body."""
        began = time.monotonic()
        async with asyncio.timeout(self._stall):
            chunk = await self._response.content.readany()
        self._waited, self._came = self._waited + time.monotonic() - began, self._came + len(chunk)
        if self._waited >= self._stall:
            if chunk and self._came < self._least:
                raise TooSlow(self._name, f"sent no more than {self._came} bytes in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return chunk

    def close(self) -> None:
        """Give the connection back if the body has been read, else close it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Whatever the library raises in the block is raised as an UpstreamFault of this upstream."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise translate(name, error) from error


def translate(name: str, error: Exception, received: int | None = None) -> UpstreamFault:
    """A library's exception as ours, in words of the field and without secrets."""
    under = error.__cause__  # of a connection that was made, where it broke
    cause = under if isinstance(under, ssl.SSLError) and not isinstance(error, aiohttp.ClientSSLError) else error
    return _not_asked(name, error) or _failed(name, cause, received)


def _not_asked(name: str, error: Exception) -> UpstreamFault | None:
    """What kept us from asking, and is nothing that the upstream did."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, InnerAddress):
            where = f"a redirect to {inner.sentence} is not followed"
            return Forbidden(name, f"{where}; if it is right, add it to redirects")
        if isinstance(inner, OSError) and inner.errno in (errno.EMFILE, errno.ENFILE):
            return NoFiles(name, "was not asked: this gateway, or its system, has too many files open (ulimit -n)")
        inner = getattr(inner, "os_error", None) or inner.__cause__
    return None


def _failed(name: str, error: Exception, received: int | None) -> UpstreamFault:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            host = getattr(error, "host", None)
            return Unreachable(name, f"TLS failed{f' with {host}' if host else ''}: {_reason(error)}")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(name, f"the host name {error.host} cannot be resolved")
        case aiohttp.ConnectionTimeoutError():
            return NoConnection(name, "no connection in time")
        case aiohttp.SocketTimeoutError() | TimeoutError() | asyncio.TimeoutError():
            return TooSlow(name, "sent nothing in time" if received is None else f"stalled after {received} bytes")
        case aiohttp.ClientProxyConnectionError():
            return Unreachable(name, f"no connection to the proxy {error.host}:{error.port}: {_reason(error)}")
        case aiohttp.ClientConnectorError():
            return Unreachable(name, f"no connection: {_reason(error)}")
        case aiohttp.ClientPayloadError():
            return Unreachable(name, f"broke off after {received} bytes")
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return Unreachable(name, "closed the connection")
        case aiohttp.ClientHttpProxyError():
            return Outage(name, f"the proxy answered {error.status} instead of a way to it")
        case aiohttp.ClientResponseError():
            return Outage(name, "did not answer in HTTP")
        case aiohttp.ClientConnectionError() | OSError():
            return Unreachable(name, f"no answer: {type(error).__name__}")
        case _:
            return Outage(name, f"no answer: {type(error).__name__}")


_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}
"""What OpenSSL makes of plain http, by its version."""


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError) and inner.reason in _NO_TLS:
        return "it does not speak TLS there; if that is meant, its url begins with http://"
    if isinstance(inner, OSError) and not isinstance(inner, ssl.SSLError) and inner.errno:
        return os.strerror(inner.errno)  # asyncio names the call that failed where others say why
    text = getattr(inner, "strerror", None) or type(inner).__name__
    return str(text)
