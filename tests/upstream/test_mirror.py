"""A mirror is asked for bytes, and for nothing else: it gets no credential and leads nowhere but to itself."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from apprproxy.core.errors import Forbidden, TooSlow, Unauthorized, Unreachable, UpstreamFault
from apprproxy.gateway.members.member import Source
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.listening import dead_end
from tests.fakes.lock import Bearer, Password
from tests.fakes.registry import Registry
from tests.fakes.sources import blob_want, read

CONTENT = some_bytes(10_000)
WANT = blob_want(CONTENT)
ACCOUNT = {"username": "bot", "password": "s3cret"}


@pytest.fixture
async def copy() -> AsyncIterator[Registry]:
    """The mirror: it has the blob."""
    async with Registry() as copy:
        copy.add_blob("library/app", CONTENT)
        yield copy


async def started(gateways: Gateways, registry: Registry, *mirrors: str | dict[str, Any], **keys: Any) -> Running:
    sections = [{"url": one} if isinstance(one, str) else one for one in mirrors]
    return await gateways.start({"hub": oci(registry, mirrors=sections, **keys)})


def mirror_of(gateway: Running, number: int = 1) -> Source:
    return gateway.app.members["hub"].mirrors[number - 1]


def port(registry: Registry) -> str:
    return registry.url.rpartition(":")[2]


def at(registry: Registry, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{port(registry)}/v2/library/app/blobs/{digest(CONTENT)}"


def credentials(registry: Registry) -> list[str]:
    return [seen.headers["authorization"] for seen in registry.seen if "authorization" in seen.headers]


# --- redirects


async def test_a_mirror_gives_what_it_has(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    gateway = await started(gateways, registry, copy.url)

    assert (200, CONTENT) == await read(mirror_of(gateway), WANT)
    assert 0 == registry.count()


async def test_a_mirror_may_redirect_within_itself(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    copy.on["blob"] = lies.in_turn(lies.redirects(at(copy)), lies.redirects(f"{at(copy)}?x=1"), lies.honestly)
    gateway = await started(gateways, registry, copy.url)

    assert (200, CONTENT) == await read(mirror_of(gateway), WANT)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_mirrors_redirect_elsewhere_is_refused_even_where_the_owners_is_not(
    registry: Registry, copy: Registry, other: Registry, gateways: Gateways, host: str
) -> None:
    other.add_blob("library/app", CONTENT)
    copy.on["blob"] = lies.redirects(at(other, host))
    gateway = await started(gateways, registry, copy.url, redirects=["127.0.0.1", "localhost", "[::1]"])

    with pytest.raises(Forbidden, match=r"hub mirror-1: a redirect to .* a mirror redirects only to itself"):
        await read(mirror_of(gateway), WANT)
    assert 0 == other.count()


@pytest.mark.parametrize(
    "to",
    [
        "http://1.1.1.1/x",
        "https://{host}/x",
        "http://localhost:{port}/x",
        "ftp://{host}/x",
        "http://bot:p@{host}/x",
        "http://{host}.evil.test/",
        "//evil.test/",
        "http://127.0.0.1/",
    ],
)
async def test_a_mirror_leads_to_no_other_scheme_host_or_port(
    registry: Registry, copy: Registry, gateways: Gateways, to: str
) -> None:
    copy.on["blob"] = lies.redirects(to.format(host=copy.url.removeprefix("http://"), port=port(copy)))
    gateway = await started(gateways, registry, copy.url)

    with pytest.raises(Forbidden):
        await read(mirror_of(gateway), WANT)
    assert 1 == copy.count()


async def test_a_mirror_may_not_redirect_for_ever(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    copy.on["blob"] = lies.redirects(at(copy))
    gateway = await started(gateways, registry, copy.url)

    with pytest.raises(Forbidden, match="more than 5 times"):
        await read(mirror_of(gateway), WANT)
    assert 6 == copy.count()


async def test_a_mirror_that_leads_elsewhere_cannot_be_told_what_was_signed(
    logged: Logged, registry: Registry, copy: Registry, gateways: Gateways
) -> None:
    copy.on["blob"] = lies.redirects("http://1.1.1.1/x?sig=s1gnature")
    gateway = await started(gateways, registry, copy.url)

    with pytest.raises(Forbidden) as refused:
        await read(mirror_of(gateway), WANT)
    assert "s1gnature" not in str(refused.value) + logged.text


# --- credentials


async def test_the_owners_credential_never_reaches_a_mirror(copy: Registry, gateways: Gateways) -> None:
    async with Registry(Password()) as registry:
        registry.push("library/app", "1.0", b"layer")
        copy.lock = Password()
        gateway = await started(gateways, registry, copy.url, auth=ACCOUNT)
        first = await gateway.get("/v2/hub/library/app/manifests/1.0")
        for _ in range(3):
            with pytest.raises(Unauthorized, match="hub mirror-1"):
                await read(mirror_of(gateway), WANT)

        assert 200 == first.status
        assert credentials(registry)
        assert [] == credentials(copy)
        assert 0 == gateway.metric("apprproxy_credential_failures_total")


async def test_a_mirror_gets_the_anonymous_token_that_it_gave(
    registry: Registry, copy: Registry, gateways: Gateways
) -> None:
    copy.lock = Bearer()
    gateway = await started(gateways, registry, copy.url, auth=ACCOUNT)
    got = await read(mirror_of(gateway), WANT)

    assert (200, CONTENT) == got
    assert ["Bearer token-1"] == [one[: len("Bearer token-1")] for one in credentials(copy)]
    assert "account=" not in next(seen.target for seen in copy.seen if seen.kind == "token")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.test"])
async def test_a_mirror_that_asks_for_a_token_by_a_foreign_realm_gets_nothing(
    registry: Registry, copy: Registry, other: Registry, gateways: Gateways, host: str
) -> None:
    copy.lock = Bearer(realm=f"http://{host}:{port(other)}/token")
    gateway = await started(gateways, registry, copy.url, auth={**ACCOUNT, "realms": [host]})

    with pytest.raises(Forbidden, match="a mirror gives its own tokens or none"):
        await read(mirror_of(gateway), WANT)
    assert 0 == other.count()
    assert [] == credentials(copy)


async def test_a_token_of_the_owner_is_not_given_to_a_mirror_that_asks_for_it(
    copy: Registry, gateways: Gateways
) -> None:
    async with Registry(Bearer()) as registry:
        registry.push("library/app", "1.0", b"layer")
        gateway = await started(gateways, registry, copy.url)
        await gateway.get("/v2/hub/library/app/manifests/1.0")
        copy.lock = Bearer(realm=f"{registry.url}/token")
        before = registry.count("token")
        with pytest.raises(Forbidden):
            await read(mirror_of(gateway), WANT)

        assert (1, 1) == (before, registry.count("token"))
        assert [] == credentials(copy)


@pytest.mark.parametrize("realm", ["ftp://127.0.0.1/", "//", "http://u:p@127.0.0.1/", "http://[::1"])
async def test_a_realm_that_is_no_url_is_refused(
    registry: Registry, copy: Registry, gateways: Gateways, realm: str
) -> None:
    copy.lock = Bearer(challenge=f'Bearer realm="{realm}"')
    gateway = await started(gateways, registry, copy.url)

    with pytest.raises(Forbidden):
        await read(mirror_of(gateway), WANT)


# --- who it is


async def test_failures_and_metrics_name_the_mirror(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    async with dead_end() as nowhere:
        gateway = await started(gateways, registry, nowhere, copy.url)
        before = gateway.metric("apprproxy_upstream_available", upstream="hub")
        with pytest.raises(Unreachable, match=r"^hub mirror-1: no connection"):
            await read(mirror_of(gateway), WANT)
        await read(mirror_of(gateway, 2), WANT)
        await until(lambda: gateway.metric("apprproxy_upstream_requests_total", source="mirror-2") == 1)

        assert 3 == before
        assert ("mirror-1", "mirror-2", "owner") == tuple(one.label for one in gateway.app.members["hub"].sources)
        assert 1 == gateway.metric("apprproxy_upstream_requests_total", source="mirror-1", status="error")
        assert len(CONTENT) == gateway.metric("apprproxy_upstream_bytes_total", source="mirror-2")
        assert 0 == gateway.metric("apprproxy_upstream_available", upstream="hub", source="mirror-1")
        assert 1 == gateway.metric("apprproxy_upstream_available", upstream="hub", source="mirror-2")


async def test_a_mirror_that_lied_is_shut_and_shown(
    logged: Logged, registry: Registry, copy: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway = await started(gateways, registry, copy.url)
    mirror = mirror_of(gateway)
    await read(mirror, WANT)
    mirror.health.lied()
    with pytest.raises(UpstreamFault, match="is not asked for 3600 more seconds: it sent something wrong"):
        await read(mirror, WANT)
    distrusted = gateway.metric("apprproxy_upstream_available", source="mirror-1")
    clock.advance(3600)
    await read(mirror, WANT)

    assert 0 == distrusted
    assert 1 == gateway.metric("apprproxy_upstream_available", source="mirror-1")
    assert 1 == logged.text.count("a mirror lied and is distrusted")


async def test_a_mirror_has_its_own_patience(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    copy.on["blob"] = lies.waiting_for(Gate())
    gateway = await started(gateways, registry, {"url": copy.url, "timeouts": {"read": "100ms"}})

    with pytest.raises(TooSlow, match="sent nothing in time"):
        await read(mirror_of(gateway), WANT)


async def test_closing_closes_the_mirrors_connections(registry: Registry, copy: Registry, gateways: Gateways) -> None:
    gateway = await started(gateways, registry, copy.url)
    await read(mirror_of(gateway), WANT)
    await gateway.close()

    with pytest.raises(RuntimeError, match="Session is closed"):
        await read(mirror_of(gateway), WANT)


# --- who another upstream is


async def test_another_place_or_account_under_the_same_name_is_another_upstream(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    sections = [
        oci(registry),
        oci(other),
        oci(registry, auth=ACCOUNT),
        oci(registry, auth={**ACCOUNT, "username": "other"}),
        {"kind": "appr", "url": registry.url},
        {"kind": "appr", "url": registry.url, "prefix": ""},
    ]
    seen = [(await gateways.start({"hub": one})).app.members["hub"].identity for one in sections]
    again = (await gateways.start({"hub": oci(registry, auth={**ACCOUNT, "password": "rotated"})})).app.members["hub"]

    assert len(sections) == len(set(seen))
    assert seen[2] == again.identity
    assert all(one.startswith("hub-") and "s3cret" not in one for one in seen)
