"""A credential goes to its upstream and nowhere else, is read again when it changes, and its refusal is an alarm."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from apprproxy.settings import BadConfiguration
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.listening import listening
from tests.fakes.lock import Bearer, Password, basic
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
BLOB = f"/v2/hub/library/app/blobs/{digest(b'layer')}"
ACCOUNT = {"username": "bot", "password": "s3cret"}


@pytest.fixture
async def closed() -> AsyncIterator[Registry]:
    """A registry with a password."""
    async with Registry(Password()) as registry:
        registry.push("library/app", "1.0", b"layer")
        yield registry


def events(logged: Logged, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, logged.text.splitlines()) if line["event"] == event]


def alarms(gateway: Running) -> float:
    return gateway.metric("apprproxy_credential_failures_total", upstream="hub")


@pytest.mark.parametrize("path", [TAG, BLOB])
async def test_a_refused_credential_is_an_outage_and_an_alarm(
    closed: Registry, gateways: Gateways, logged: Logged, path: str
) -> None:
    gateway = await gateways.start({"hub": oci(closed, auth={**ACCOUNT, "password": "wrong"})})
    failed = await gateway.get(path)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "refused our credential" in failed.message
    assert 1 == alarms(gateway)
    told = [line for line in map(json.loads, logged.text.splitlines()) if line["level"] in ("warning", "error")]
    assert ["an upstream refused our credential", "request"] == [line["event"] for line in told]


async def test_what_is_held_is_served_while_the_credential_is_refused(
    closed: Registry, gateways: Gateways, clock: Clock
) -> None:
    gateway = await gateways.start({"hub": oci(closed, auth=ACCOUNT)})
    fresh = await gateway.get(TAG)
    closed.lock = Password(password="changed")
    clock.advance(61)
    stale = await gateway.get(TAG)

    assert (200, fresh.body) == (stale.status, stale.body)
    assert "fwd=stale; fwd-status=401; detail=stale-if-error" == stale.cache
    assert 1 == alarms(gateway)


async def test_a_credential_that_the_token_server_refuses_is_an_alarm(gateways: Gateways) -> None:
    async with Registry(Bearer(password="changed")) as registry:
        gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})
        failed = await gateway.get(TAG)

        assert 502 == failed.status
        assert "token server 127.0.0.1 refused our credential" in failed.message
        assert 1 == alarms(gateway)


async def test_a_registry_that_wants_a_credential_and_gets_none_is_no_alarm(
    closed: Registry, gateways: Gateways
) -> None:
    gateway = await gateways.start({"hub": closed})
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "without a credential" in failed.message
    assert 0 == alarms(gateway)


async def test_the_password_file_is_read_again_when_it_changes(
    closed: Registry, gateways: Gateways, logged: Logged, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    gateway = await gateways.start({"hub": oci(closed, auth={"username": "bot", "password_file": secret})})
    before = await gateway.get(TAG)
    closed.lock = Password(password="rotated")
    secret.write_text("rotated\n")
    os.utime(secret, (1, 1))  # the clock of the file system may be too coarse to tell the two apart
    after = await gateway.get(BLOB)

    assert (200, 200) == (before.status, after.status)
    (told,) = events(logged, "a file that had changed was read again")
    assert ("credential", "hub", str(secret)) == (told["what"], told["upstream"], told["path"])
    assert "rotated" not in logged.text


async def test_a_refused_credential_is_told_with_where_it_stands(
    closed: Registry, gateways: Gateways, logged: Logged, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("not-that-one")
    gateway = await gateways.start({"hub": oci(closed, auth={"username": "bot", "password_file": secret})})
    await gateway.get(TAG)
    (told,) = events(logged, "an upstream refused our credential")

    assert ("upstreams.hub.auth.password_file", str(secret)) == (told["key"], told["path"])
    assert "not-that-one" not in logged.text


async def test_a_password_file_that_is_not_there_is_a_mistake_in_the_configuration(
    gateways: Gateways, tmp_path: Path
) -> None:
    with pytest.raises(BadConfiguration, match=r"upstreams\.hub\.auth\.password_file"):
        await gateways.start(
            {"hub": {"url": "http://127.0.0.1:1", "auth": {"username": "b", "password_file": tmp_path / "x"}}}
        )


@pytest.mark.parametrize("realm", ["http://localhost:{port}/token", "http://[::1]:{port}/token", "http://evil.test/"])
async def test_a_realm_at_a_foreign_host_is_refused(gateways: Gateways, other: Registry, realm: str) -> None:
    port = other.url.rpartition(":")[2]
    async with Registry(Bearer(password="s3cret", realm=realm.format(port=port))) as registry:
        gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})
        failed = await gateway.get(TAG)

        assert (502, "UNAVAILABLE") == (failed.status, failed.code)
        assert "add it to auth.realms" in failed.message
        assert 0 == other.count()
        assert not any("authorization" in seen.headers for seen in registry.seen)


@pytest.mark.parametrize("realm", ["ftp://127.0.0.1/", "//", "127.0.0.1", "http://u:p@127.0.0.1/", "http://[::1", ""])
async def test_a_realm_that_is_no_url_is_refused(gateways: Gateways, realm: str) -> None:
    async with Registry(Bearer(challenge=f'Bearer realm="{realm}"')) as registry:
        gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})

        assert 502 == (await gateway.get(TAG)).status


async def test_a_realm_that_the_operator_names_is_asked(gateways: Gateways) -> None:
    async with Registry(Bearer(password="s3cret")) as registry:
        registry.push("library/app", "1.0", b"layer")
        port = registry.url.rpartition(":")[2]
        assert isinstance(registry.lock, Bearer)
        registry.lock.realm = f"http://localhost:{port}/token"
        gateway = await gateways.start({"hub": oci(registry, auth={**ACCOUNT, "realms": ["localhost"]})})

        assert 200 == (await gateway.get(TAG)).status


async def test_a_realm_is_named_for_an_upstream_without_an_account_likewise(gateways: Gateways) -> None:
    async with Registry(Bearer()) as registry:
        registry.push("library/app", "1.0", b"layer")
        assert isinstance(registry.lock, Bearer)
        registry.lock.realm = f"http://localhost:{registry.url.rpartition(':')[2]}/token"
        gateway = await gateways.start({"hub": oci(registry, auth={"realms": ["localhost"]})})

        assert 200 == (await gateway.get(TAG)).status
        (token,) = [seen for seen in registry.seen if seen.target.startswith("/token")]
        assert "authorization" not in token.headers


async def test_no_credential_crosses_hosts_with_a_redirect(
    closed: Registry, other: Registry, gateways: Gateways
) -> None:
    other.add_blob("library/app", b"layer")
    port = other.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        location = f"http://{host}:{port}/v2/library/app/blobs/{digest(b'layer')}"
        closed.on["GET blob"] = lies.in_turn(lies.honestly, lies.redirects(location))
        gateway = await gateways.start(
            {"hub": oci(closed, auth=ACCOUNT, redirects=[f"{host}:{port}"])}, cache=f"cache-{host}"
        )

        assert 200 == (await gateway.get(BLOB)).status
        assert other.seen
        assert not any("authorization" in seen.headers for seen in other.seen)


@pytest.mark.parametrize("known", [True, False])
async def test_a_challenge_from_a_redirects_target_is_not_answered(
    other: Registry, gateways: Gateways, known: bool
) -> None:
    """The second registry would have our password brought to a third, for a scope of its own choice."""
    port = other.url.rpartition(":")[2]
    async with Registry(Bearer("s3cret")) as hub, Registry() as third:
        hub.push("library/app", "1.0", b"layer")
        hub.on["GET blob"] = lies.redirects(f"{other.url}/v2/library/app/blobs/{digest(b'layer')}")
        for realm in (f"{third.url}/token", f"{hub.url}/token"):
            challenge = f'Bearer realm="{realm}",service="x",scope="repository:secret/all:pull,push,delete"'
            other.on["blob"] = lies.in_turn(lies.says(401, WWW_Authenticate=challenge), lies.says(200, b"layer"))
            keys = oci(hub, auth=ACCOUNT, redirects=[f"127.0.0.1:{port}"])
            gateway = await gateways.start({"hub": keys}, cache=f"cache-{URL(realm).port}")
            if known:
                assert 200 == (await gateway.get(TAG)).status
            failed = await gateway.get(BLOB)

            assert (502, "UNAVAILABLE") == (failed.status, failed.code)
            assert "redirects to 127.0.0.1, which does not let us in" in failed.message
            assert 0 == third.count()
            assert not any("secret" in seen.target for seen in hub.seen)
            assert 0 == alarms(gateway)


async def test_secrets_and_signatures_are_not_logged(logged: Logged, gateways: Gateways, other: Registry) -> None:
    other.on["blob"] = lies.says(500)
    port = other.url.rpartition(":")[2]
    signed = f"http://localhost:{port}/v2/library/app/blobs/{digest(b'layer')}?X-Amz-Signature=s1gnature"
    async with Registry(Bearer(password="s3cret")) as registry:
        registry.on["blob"] = lies.in_turn(lies.honestly, lies.redirects(signed))
        gateway = await gateways.start(
            {"hub": oci(registry, auth=ACCOUNT), "open": oci(registry, auth=ACCOUNT, redirects=["localhost"])}
        )
        refused = await gateway.get(BLOB + "?token=clients-own")
        failed = await gateway.get(BLOB.replace("hub", "open"), Authorization="Bearer clients-own")
        registry.on["blob"] = lies.redirects(f"{registry.url}/v2/library/app/blobs/sha256:0?sig=s1gnature")
        loop = await gateway.get(BLOB)
        said = b" ".join((refused.body, failed.body, loop.body)).decode() + logged.text

        assert [502, 502, 502] == [refused.status, failed.status, loop.status]
        assert 1 == other.count("blob")
        for secret in ("s3cret", "s1gnature", "clients-own", "token-", basic("bot", "s3cret").split()[1]):
            assert secret not in said
        assert "redirects more than" in said


async def test_no_exception_shows_a_secret(logged: Logged, gateways: Gateways) -> None:
    async def redirect_to_nowhere(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/x?sig=s1gnature"})

    async with listening(redirect_to_nowhere) as url:
        gateway = await gateways.start({"hub": {"url": url, "auth": ACCOUNT, "redirects": ["127.0.0.1"]}})
        failed = await gateway.get(TAG)

        assert 502 == failed.status
        assert "s1gnature" not in failed.message + logged.text
        assert "Traceback" not in logged.text


async def test_a_token_that_is_not_taken_any_more_is_renewed_although_its_server_had_failed_meanwhile(
    gateways: Gateways,
) -> None:
    """As after a restart of both; the failure was told to somebody who asked for another repository."""
    lock = Bearer()
    async with Registry(lock) as registry:
        registry.push("library/app", "1.0", b"layer")
        registry.push("library/app", "2.0", b"layer 2")
        registry.push("library/other", "1.0", b"layer")
        registry.push("library/other", "2.0", b"layer 2")
        gateway = await gateways.start({"hub": registry})
        before = [(await gateway.get(f"/v2/hub/library/{name}/manifests/1.0")).status for name in ("app", "other")]
        lock.expire()
        registry.on["token"] = lies.page(502)
        during = await gateway.get("/v2/hub/library/other/manifests/2.0")
        del registry.on["token"]
        after = await gateway.get("/v2/hub/library/app/manifests/2.0")

    assert ([200, 200], 502, 200) == (before, during.status, after.status)
