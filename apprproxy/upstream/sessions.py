"""Connections to one upstream and to the hosts it leads to: a pool for each lane, so that none holds up another."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from apprproxy.core.framing import Framing
from apprproxy.core.model import KIB
from apprproxy.core.ports.upstream import Lane, beside
from apprproxy.core.tls import to_anybody
from apprproxy.upstream.connector import Connector
from apprproxy.upstream.guard import PublicResolver
from apprproxy.upstream.resolver import OwnThreadsResolver

_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


@dataclass(frozen=True, slots=True)
class Line:
    """How to reach an upstream. Times in seconds; ``proxy`` None leaves it to HTTPS_PROXY and NO_PROXY. ``foreign``
    is TLS to hosts that it leads to, and to a proxy. ``slowest`` in bytes a second: fewer over ``read`` seconds are too
    slow."""

    connect: float = 5.0
    read: float = 30.0
    connections: int = 32
    proxy: str | None = None
    tls: ssl.SSLContext = field(default_factory=to_anybody)
    foreign: ssl.SSLContext = field(default_factory=to_anybody)
    slowest: int = 0


class Sessions:
    """Made on first use, inside the running loop; ``close`` when done. The names of hosts that the upstream leads to
    are resolved apart from its own."""

    def __init__(self, line: Line, agent: Mapping[str, str]) -> None:
        self._line = line
        self._agent = agent
        self._own_names = OwnThreadsResolver(line.connect)
        self._foreign_names = OwnThreadsResolver(line.connect)
        self._framing = Framing()
        self._open: dict[tuple[Lane, str], aiohttp.ClientSession] = {}

    @property
    def stall(self) -> float:
        """Seconds an answer may send nothing, seen from outside the library."""
        return self._line.read + 0.5

    @property
    def least(self) -> int:
        """Bytes that have to come in that time."""
        return int(self._line.slowest * self.stall)

    @property
    def headers_by(self) -> float:
        """Seconds until the headers of an answer, whatever the library waits for: it allows ``connect`` for each
        address of a host."""
        return self._line.connect + self.stall

    def towards(self, url: URL, lane: Lane, *, trusted: bool, at_its_host: bool) -> aiohttp.ClientSession:
        """For where the upstream leads to; ``trusted`` is its own host, and one that its operator named."""
        if not trusted:
            return self.abroad(url, lane)
        return self.own(lane) if at_its_host else self.named(lane)

    def own(self, lane: Lane) -> aiohttp.ClientSession:
        """For the upstream itself."""
        return self._session(lane, "at home", tls=self._line.tls, public=False)

    def named(self, lane: Lane) -> aiohttp.ClientSession:
        """For hosts its operator named, on whatever network: certificates always verified, no client certificate."""
        return self._session(lane, "named", tls=self._line.foreign, public=False)

    def abroad(self, url: URL, lane: Lane) -> aiohttp.ClientSession:
        """For foreign hosts: public addresses only, certificates always verified, no client certificate.

        Through a forward proxy it is the proxy that resolves, and so it that must refuse inner addresses.
        """
        if self.proxy(url) is not None:
            return self._session(lane, "through a proxy", tls=self._line.foreign, public=False)
        return self._session(lane, "abroad", tls=self._line.foreign, public=True)

    def _session(self, lane: Lane, where: str, *, tls: ssl.SSLContext, public: bool) -> aiohttp.ClientSession:
        session = self._open.get((lane, where))
        if session is None:
            connector = Connector(
                self._framing,
                self._line.foreign,
                limit=beside(self._line.connections) if lane is Lane.BESIDE else self._line.connections,
                resolver=PublicResolver(self._foreign_names) if public else self._own_names,
                ssl=tls,
            )
            timeout = aiohttp.ClientTimeout(
                total=None, connect=None, sock_connect=self._line.connect, sock_read=self._line.read
            )
            session = self._open[lane, where] = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                headers=self._agent,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # it would also read credentials from ~/.netrc
                read_bufsize=512 * KIB,
            )
        return session

    def proxy(self, url: URL) -> str | None:
        """The forward proxy for this URL."""
        if self._line.proxy is not None:
            return self._line.proxy
        chosen = getproxies().get(url.scheme)
        if chosen is None or _loopback(url.host) or proxy_bypass(url.host or ""):
            return None
        return chosen if "://" in chosen else f"http://{chosen}"  # as curl and others take it

    async def close(self) -> None:
        for session in self._open.values():
            await session.close()
        await self._own_names.close()
        await self._foreign_names.close()


def _loopback(host: str | None) -> bool:
    """A proxy elsewhere cannot reach what only this machine can."""
    return host is not None and _LOOPBACK.fullmatch(host) is not None
