"""Which hosts a redirect or a token realm may name, decided before anything is sent there.

An upstream's answer is foreign text: followed blindly, it makes this gateway a way into the network it stands in
(cloud metadata, databases on loopback) and hands credentials to whoever asks.
"""

import ipaddress
import socket
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

MAX_REDIRECTS = 5

REALMS = {
    "registry-1.docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "docker.elastic.co": "docker-auth.elastic.co",
}
"""Token servers that well-known registries keep on another host."""

_NOT_PUBLIC = [ipaddress.ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "3fff::/20")]
"""What Python 3.11 takes for public: protocol assignments, 6to4 relays, site-local, documentation."""
_HTTPS = 443
_MAX_HOST = 255
"""Characters (RFC 1035, section 2.3.4; RFC 3986, section 3.2.2). What is written in Punycode takes as much time as its
length squared: of 8 KiB a second, in which nobody else has a turn."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(ValueError):
    """Not followed; the sentence says what and why, without query strings."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules for one upstream. ``redirects`` and ``realms`` are the operator's own additions: host or host:port, as
    ``core.host`` writes them."""

    base: URL
    redirects: frozenset[str] = frozenset()
    realms: frozenset[str] = frozenset()

    def redirect(self, source: URL, target: URL) -> bool:
        """Whether the target may be dialled without a look at its address (our own upstream, or a host the operator
        named); raises Refused."""
        self._plain(target, "a redirect")
        if source.scheme == "https" and target.scheme != "https":
            raise Refused(f"a redirect from https to {target.scheme}://{target.host} is not followed")
        if _origin(target) == _origin(self.base) or _named(target, self.redirects):
            return True
        _refuse_inner_literal(target.host or "")
        return False

    def realm(self, text: str) -> URL:
        """The realm as a URL; raises Refused."""
        url = self._realm_url(text)
        if self.base.scheme == "https" and url.scheme != "https":
            raise Refused(f"a token realm at {url.scheme}://{url.host} would send the credential in the clear")
        if self.near(url) or (url.host == REALMS.get(self.base.host or "") and url.port == _HTTPS):
            return url
        raise Refused(
            f"the token realm names {url.host_port_subcomponent}, which is not the upstream's host and port;"
            f" if it is right, add it to auth.realms"
        )

    def near(self, url: URL) -> bool:
        """Is this a token server whose address needs no look: one that the operator named, or the upstream itself?"""
        return self.at_its_host(url) or _named(url, self.realms)

    def at_its_host(self, url: URL) -> bool:
        """Is this the upstream's host, at its port or at that of https? What else listens there may be anybody's."""
        return url.host == self.base.host and _usual(url, self.base)

    def _realm_url(self, text: str) -> URL:
        try:
            url = foreign_url(text)
            self._plain(url, "a token realm")
        except Refused:
            raise
        except ValueError:  # also of a port that is none, which the library looks at only now
            raise Refused("the token realm is not a URL") from None
        return url

    @staticmethod
    def _plain(url: URL, what: str) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise Refused(f"{what} to {url.scheme or 'nowhere'}: is neither http nor https")
        if url.user is not None or url.password is not None:
            raise Refused(f"{what} to {url.host} carries a user name")


@dataclass(frozen=True, slots=True)
class MirrorGuard(Guard):
    """A mirror leads nowhere but to itself (scheme, host and port), neither for bytes nor for a token: it is not
    trusted, and its network is the gateway's."""

    def redirect(self, source: URL, target: URL) -> bool:
        self._plain(target, "a redirect")
        if _origin(target) != _origin(self.base):
            raise Refused(f"a redirect to {redact(target.origin())} is not followed: a mirror redirects only to itself")
        return True

    def realm(self, text: str) -> URL:
        url = self._realm_url(text)
        if _origin(url) != _origin(self.base):
            raise Refused(f"the token realm {redact(url.origin())} is not asked: a mirror gives its own tokens or none")
        return url


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def _usual(url: URL, base: URL) -> bool:
    """Self-hosted GitLab has its registry at 5050, and gives tokens at 443 of the same host."""
    return url.port == base.port or (url.scheme == "https" and url.port == _HTTPS)


def _named(url: URL, hosts: frozenset[str]) -> bool:
    host = _as_configured(url.raw_host or "")
    return host in hosts or f"{host}:{url.port}" in hosts


def _as_configured(host: str) -> str:
    """In lower case, IPv6 in brackets and at its shortest."""
    try:
        return f"[{ipaddress.IPv6Address(host)}]"
    except ValueError:
        return host.lower()


def inner(address: str) -> bool:
    """Is this anything but an address of the public internet? Forms that embed an IPv4 address are looked into."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is None and ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return inner(str(embedded))
    return not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _NOT_PUBLIC)


def _refuse_inner_literal(host: str) -> None:
    """Connectors do not resolve what is an address already, so that is looked at here; nor what has nothing but digits
    and dots, which the system takes for one (127.1). Raises Refused."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if host.replace(".", "").isdigit():
            raise Refused(f"a redirect to {host} is not followed: it is neither a name nor an address") from None
        return
    if inner(host):
        raise Refused(f"a redirect to the inner address {host} is not followed; if it is right, add it to redirects")


class PublicResolver(AbstractResolver):
    """Resolves, and gives only public addresses: what was checked is what is dialled."""

    def __init__(self, behind: AbstractResolver) -> None:
        self._behind = behind

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._behind.resolve(host, port, family)
        public = [result for result in found if not inner(result["host"])]
        if not public:
            raise InnerAddress(f"{host} resolves to inner addresses only")
        return public

    async def close(self) -> None:
        await self._behind.close()


class InnerAddress(OSError):
    """A foreign host name that leads inside."""

    def __init__(self, sentence: str) -> None:
        super().__init__(None, sentence)
        self.sentence = sentence


def foreign_url(text: str) -> URL:
    """As it is written; raises ValueError for what is not ASCII (RFC 3986, section 2), of which nobody could be told,
    for a host that no name is as long as, and where the library stumbles (``//[]@``)."""
    if not text.isascii():
        raise ValueError("not a URL")
    try:
        url = URL(text, encoded=True)
    except IndexError:
        raise ValueError("not a URL") from None
    if len(url.raw_host or "") > _MAX_HOST:  # before anybody wants to know which it is
        raise ValueError("not a URL")
    return url


def redact(url: URL | str) -> str:
    """A URL fit for logs: without user, query and fragment, which hold signatures and tokens."""
    plain = URL(str(url), encoded=True)
    return f"{plain.scheme}://{plain.host_port_subcomponent}{plain.raw_path}"
