"""Redirects by hand, and nothing foreign escapes: what goes wrong is told as this upstream's fault."""

import pytest

from apprproxy.core.answers import answer_of
from apprproxy.core.ports.upstream import Request
from apprproxy.gateway.members.health import FOR_OWNERS
from tests.fakes import lies
from tests.fakes.clock import Clock, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.listening import dead_end
from tests.fakes.raw import answering
from tests.fakes.registry import Registry
from tests.fakes.sources import watched

CONTENT = some_bytes(100_000)
BLOB = f"/v2/hub/library/app/blobs/{digest(CONTENT)}"
TAG = "/v2/hub/library/app/manifests/1.0"


def at(registry: Registry, host: str = "127.0.0.1") -> str:
    """The blob's URL at another registry."""
    return f"http://{host}:{registry.url.rpartition(':')[2]}/v2/library/app/blobs/{digest(CONTENT)}?sig=a%2Fb+c%3D"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_host_that_the_operator_named_is_followed(
    registry: Registry, other: Registry, gateways: Gateways, status: int
) -> None:
    other.add_blob("library/app", CONTENT)
    registry.on["blob"] = lies.redirects(at(other, "localhost"), status)
    gateway = await gateways.start({"hub": oci(registry, redirects=["localhost"])})

    assert (200, CONTENT) == ((got := await gateway.get(BLOB)).status, got.body)
    assert at(other).removeprefix(other.url) == other.seen[0].target


async def test_a_redirect_within_the_upstream_is_followed(registry: Registry, gateways: Gateways) -> None:
    registry.add_blob("elsewhere", CONTENT)
    registry.on["blob"] = lies.in_turn(lies.redirects(f"/v2/elsewhere/blobs/{digest(CONTENT)}"), lies.honestly)
    gateway = await gateways.start({"hub": registry})

    assert CONTENT == (await gateway.get(BLOB)).body


async def test_a_write_that_is_redirected_is_sent_once(registry: Registry, clock: Clock) -> None:
    registry.on["other"] = lies.redirects("/elsewhere")
    async with watched(registry.url, FOR_OWNERS, clock) as upstream:
        reply = await answer_of(upstream, Request("POST", "/api", body=b"x", as_caller=True))

    assert 307 == reply.status
    assert ["/api"] == [seen.target for seen in registry.seen]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_a_redirect_inside_is_refused(registry: Registry, other: Registry, gateways: Gateways, host: str) -> None:
    other.add_blob("library/app", CONTENT)
    registry.on["blob"] = lies.redirects(at(other, host))
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(BLOB)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 0 == other.count()
    assert [] == gateway.blobs


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[fe80::1]", "192.168.0.1"])
async def test_a_redirect_to_the_network_around_is_refused(registry: Registry, gateways: Gateways, host: str) -> None:
    registry.on["blob"] = registry.on["tag"] = lies.redirects(f"http://{host}/latest/meta-data?sig=s1gnature")
    gateway = await gateways.start({"hub": registry})
    for path in (BLOB, TAG):
        failed = await gateway.get(path)

        assert (502, "UNAVAILABLE") == (failed.status, failed.code)
        assert "inner address" in failed.message
        assert "s1gnature" not in failed.message


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://", "http://[::1", "http://a b/", "http://x:99999/"])
async def test_a_redirect_to_nowhere_is_refused(
    registry: Registry, gateways: Gateways, logged: Logged, location: str
) -> None:
    registry.on["blob"] = lies.redirects(location)
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(BLOB)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "Traceback" not in logged.text


async def test_a_redirect_loop_ends(registry: Registry, gateways: Gateways) -> None:
    registry.on["blob"] = lies.redirects(f"/v2/library/app/blobs/{digest(CONTENT)}")
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(BLOB)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "redirects more than 5 times" in failed.message
    assert 6 == registry.count()


async def test_a_foreign_host_cannot_send_us_inside(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.on["blob"] = lies.redirects(at(other, "localhost"))
    other.on["blob"] = lies.redirects("http://127.0.0.1:1/x")
    gateway = await gateways.start({"hub": oci(registry, redirects=["localhost"])})
    failed = await gateway.get(BLOB)

    assert 502 == failed.status
    assert "inner address 127.0.0.1" in failed.message


async def test_what_a_busy_upstream_asks_for_reaches_the_client(registry: Registry, gateways: Gateways) -> None:
    registry.on["tag"] = lies.says(429, Retry_After="7")
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(TAG)

    assert (503, "UNAVAILABLE") == (failed.status, failed.code)
    assert "8" == failed.headers["Retry-After"]


async def test_a_date_to_wait_for_is_understood(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    clock.time = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT
    registry.on["tag"] = lies.says(503, Retry_After="Fri, 15 Jan 2027 08:01:00 GMT")
    gateway = await gateways.start({"hub": registry})

    assert "61" == (await gateway.get(TAG)).headers["Retry-After"]


@pytest.mark.parametrize("wait", ["soon", "-1", "1e9", "9" * 400, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
async def test_a_wait_that_cannot_be_read_is_none(
    registry: Registry, gateways: Gateways, logged: Logged, wait: str
) -> None:
    registry.on["tag"] = lies.says(503, Retry_After=wait)
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(TAG)

    assert (503, "UNAVAILABLE") == (failed.status, failed.code)
    assert "Retry-After" not in failed.headers
    assert "Traceback" not in logged.text


async def test_a_dead_upstream_is_told_from_a_silent_name(gateways: Gateways) -> None:
    async with dead_end() as nowhere:
        gateway = await gateways.start({"hub": {"url": nowhere}, "dns": {"url": "http://no-such-host.invalid"}})
        refused = await gateway.get(TAG)
        unknown = await gateway.get(TAG.replace("hub", "dns"))

        assert "hub: no connection" in refused.message
        assert "dns: the host name no-such-host.invalid cannot be resolved" in unknown.message
        assert 0 == gateway.metric("apprproxy_upstream_available", upstream="hub")


async def test_a_proxy_that_is_away_is_not_told_as_the_upstream(gateways: Gateways) -> None:
    async with dead_end() as proxy:
        gateway = await gateways.start({"hub": {"url": "https://registry.invalid", "proxy": proxy}})
        got = await gateway.get(TAG)

    where = proxy.removeprefix("http://")
    assert (502, f"hub: no connection to the proxy {where}: Connection refused") == (got.status, got.message)


async def test_a_proxy_that_lets_nobody_through_is_told_by_what_it_answered(gateways: Gateways) -> None:
    async with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as proxy:
        gateway = await gateways.start({"hub": {"url": "https://registry.invalid", "proxy": proxy}})
        got = await gateway.get(TAG)

    assert (502, "hub: the proxy answered 407 instead of a way to it") == (got.status, got.message)


async def test_requests_to_upstreams_are_counted(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", CONTENT)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(TAG)
    await gateway.get(BLOB)

    def asked(**labels: str) -> float:
        return gateway.metric("apprproxy_upstream_requests_total", upstream="hub", source="owner", **labels)

    await until(lambda: asked(kind="blob") == 1)  # told when the connection has been given back

    assert (2, 1) == (asked(kind="manifest", status="200"), asked(kind="blob", status="200"))
    assert gateway.metric("apprproxy_upstream_bytes_total", upstream="hub") > len(CONTENT)
    assert 1 == gateway.metric("apprproxy_upstream_available", upstream="hub")
