"""Where a redirect or a token realm may lead, decided before anything is sent there."""

import socket
from contextlib import suppress

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from apprproxy.upstream.guard import Guard, InnerAddress, PublicResolver, Refused, foreign_url, inner, redact

QUAY = Guard(URL("https://quay.io"), frozenset({"minio.corp", "cdn.corp:9000"}), frozenset({"sso.corp"}))
BLOB = URL("https://quay.io/v2/a/blobs/x")


def to(url: str) -> bool:
    return QUAY.redirect(BLOB, URL(url, encoded=True))


@pytest.mark.parametrize("url", ["https://quay.io/other", "https://minio.corp:9000/x", "https://cdn.corp:9000/x"])
def test_the_upstream_itself_and_named_hosts_are_dialled_as_they_are(url: str) -> None:
    assert to(url)


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("[::1]", "https://[::1]/x"),
        ("[::1]", "https://[0:0::1]:9000/x"),
        ("[fd00::a]:9000", "https://[FD00::A]:9000/x"),
        ("xn--bcher-kva.corp", "https://xn--bcher-kva.corp/x"),
        ("minio.corp", "https://Minio.Corp/x"),
    ],
)
def test_a_host_is_named_as_the_configuration_writes_it(named: str, url: str) -> None:
    guard = Guard(URL("https://quay.io"), frozenset({named}), frozenset({named}))

    assert guard.redirect(BLOB, URL(url, encoded=True))
    assert guard.realm(url)


@pytest.mark.parametrize(
    "url", ["https://cdn.example.org/x", "https://cdn.corp/x", "https://8.8.8.8/", "https://quay.io:8443/"]
)
def test_other_hosts_are_dialled_at_public_addresses_only(url: str) -> None:
    assert not to(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://quay.io/x",
        "http://minio.corp/x",
        "http://cdn.example.org/x",
        "ftp://cdn.example.org/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user:password@cdn.example.org/x",
        "https://user@cdn.example.org/x",
        "https:///x",
    ],
)
def test_a_redirect_to_less_than_https_or_with_a_name_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        to(url)


def test_a_host_that_is_longer_than_a_name_is_not_read() -> None:
    """To read 8 KiB of Punycode takes a second."""
    han = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    host = f"xn--{han.encode('punycode').decode()}"

    for url in (f"https://{host}/x", f"//{host}/x", f"https://user@{host}:5000/x", f"https://{'a' * 256}"):
        with pytest.raises(ValueError, match="not a URL"):
            foreign_url(url)
    with pytest.raises(Refused, match="not a URL"):
        QUAY.realm(f"https://{host}/token")
    assert "xn--bcher-kva.example" == foreign_url(f"https://xn--bcher-kva.example/{'x' * 5000}").raw_host
    assert foreign_url(f"/{'x' * 5000}").host is None


def test_a_plain_upstream_may_redirect_to_plain_hosts() -> None:
    guard = Guard(URL("http://registry.test"))

    assert not guard.redirect(URL("http://registry.test/x"), URL("http://cdn.example.org/x"))
    with pytest.raises(Refused):
        guard.redirect(URL("https://cdn.example.org/x"), URL("http://cdn.example.org/x"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "192.0.0.170",
        "192.88.99.1",
        "[fec0::1]",
        "[3fff::1]",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::127.0.0.1]",
        "[::a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    ],
)
def test_inner_addresses_are_refused(host: str) -> None:
    with pytest.raises(Refused, match="inner address"):
        to(f"https://{host}/latest/meta-data")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001", "0", "127.0.0.1.", "169.254.169.254."])
def test_what_the_system_takes_for_an_address_is_refused(host: str) -> None:
    """No resolver is asked for it."""
    with pytest.raises(Refused, match="neither a name nor an address"):
        to(f"https://{host}/latest/meta-data")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert not inner(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_as_inner_in_whatever_form_it_comes(address: object) -> None:
    assert inner(str(address)) == inner(f"::ffff:{address}")


@given(st.text())
def test_what_is_no_address_is_inner(text: str) -> None:
    assert isinstance(inner(text), bool)


@pytest.mark.parametrize("realm", ["https://quay.io/token", "https://quay.io/t?x=y", "https://sso.corp/token"])
def test_a_realm_at_the_upstream_or_a_named_host_may_be_asked(realm: str) -> None:
    assert realm == str(QUAY.realm(realm))


@pytest.mark.parametrize(
    ("base", "realm"),
    [
        ("http://registry.test:5000", "http://registry.test:5000/token"),
        ("https://gitlab.test:5050", "https://gitlab.test/jwt/auth"),
        ("http://registry.test", "https://registry.test/token"),
    ],
)
def test_a_realm_at_the_hosts_own_port_or_at_that_of_https_may_be_asked(base: str, realm: str) -> None:
    assert realm == str(Guard(URL(base)).realm(realm))


@pytest.mark.parametrize(
    ("base", "realm"),
    [
        ("http://registry.test:5000", "http://registry.test:5001/token"),
        ("http://registry.test:5000", "http://registry.test/token"),
        ("https://registry.test", "https://registry.test:444/token"),
        ("https://registry-1.docker.io", "https://auth.docker.io:444/token"),
    ],
)
def test_a_realm_at_another_port_is_asked_only_where_the_operator_names_it(base: str, realm: str) -> None:
    host = URL(realm).host_port_subcomponent
    assert host is not None

    with pytest.raises(Refused, match=f"names {host}, which is not the upstream's host and port"):
        Guard(URL(base)).realm(realm)
    assert realm == str(Guard(URL(base), realms=frozenset({f"{URL(realm).host}:{URL(realm).port}"})).realm(realm))


def test_docker_hubs_realm_may_be_asked() -> None:
    hub = Guard(URL("https://registry-1.docker.io"))

    assert "auth.docker.io" == hub.realm("https://auth.docker.io/token").host
    with pytest.raises(Refused):
        QUAY.realm("https://auth.docker.io/token")


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.test/token",
        "https://quay.io.evil.test/token",
        "https://quay.io@evil.test/token",
        "http://quay.io/token",
        "http://sso.corp/token",
        "//quay.io/token",
        "quay.io",
        "https://[::1/",
        "https://quay.io:x/token",
        "https://[]@",
        "https://quay.io:99999/token",
        "",
    ],
)
def test_any_other_realm_is_refused(realm: str) -> None:
    with pytest.raises(Refused):
        QUAY.realm(realm)


@given(st.text(max_size=60))
def test_no_realm_raises_anything_else(realm: str) -> None:
    with suppress(Refused):
        assert QUAY.realm(realm).host in ("quay.io", "sso.corp")


class Resolver(AbstractResolver):
    """Answers whatever it is told."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        self.closed = True


async def test_a_name_that_resolves_inside_is_refused() -> None:
    with pytest.raises(InnerAddress, match=r"rebind\.test resolves to inner addresses only"):
        await PublicResolver(Resolver("127.0.0.1", "169.254.169.254", "::1")).resolve("rebind.test")


async def test_only_public_addresses_are_dialled() -> None:
    resolver = Resolver("10.0.0.1", "8.8.8.8", "fe80::1%eth0")
    public = PublicResolver(resolver)
    found = await public.resolve("mixed.test", 443)
    await public.close()

    assert ["8.8.8.8"] == [result["host"] for result in found]
    assert resolver.closed


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@cdn.test/x/y?sig=1#f", "https://cdn.test/x/y"),
        ("https://cdn.test:8443/x?a", "https://cdn.test:8443/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_a_url_in_a_log_holds_no_secret(url: str, shown: str) -> None:
    assert shown == redact(url)
