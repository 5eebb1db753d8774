"""A company that looks into TLS signs for every host: its authority is believed of the token server as well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.gateway import Gateways
from tests.fakes.lock import Bearer
from tests.fakes.registry import Registry
from tests.peers.certificate import Certificate, certify
from tests.peers.relay import relay

REALM = "https://auth.docker.io/token"
TAG = "/v2/hub/library/app/manifests/1.0"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certify("*.docker.io", tmp_path)


@pytest.fixture
def proxy(registry: Registry, certificate: Certificate) -> Iterator[str]:
    registry.push("library/app", "1.0", b"layer")
    registry.lock = Bearer(realm=REALM)
    with relay(registry.url.removeprefix("http://"), certificate, tunnel=True) as address:
        yield f"http://{address}"


def hub(proxy: str, **tls: str) -> dict[str, object]:
    return {"kind": "oci", "url": "https://registry-1.docker.io", "proxy": proxy, "tls": tls}


async def test_its_token_server_is_reached(gateways: Gateways, proxy: str, certificate: Certificate) -> None:
    gateway = await gateways.start({"hub": hub(proxy, ca_file=str(certificate.path))})

    got = await gateway.get(TAG)
    await gateway.close()

    assert 200 == got.status


async def test_whose_certificate_is_not_believed_is_named(
    gateways: Gateways, registry: Registry, certificate: Certificate
) -> None:
    with relay(registry.url.removeprefix("http://"), certificate) as address:
        gateway = await gateways.start({"hub": {"kind": "oci", "url": f"https://{address}"}})
        got = await gateway.get(TAG)
        await gateway.close()

    assert 502 == got.status
    assert "TLS failed with 127.0.0.1: self-signed certificate" in got.message


async def test_whoever_speaks_plain_http_is_said_to(gateways: Gateways, registry: Registry) -> None:
    gateway = await gateways.start({"hub": {"kind": "oci", "url": registry.url.replace("http:", "https:")}})
    got = await gateway.get(TAG)
    await gateway.close()

    assert 502 == got.status
    assert "TLS failed with 127.0.0.1: it does not speak TLS there; if that is meant, its url begins" in got.message


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_where_nobody_listens_it_is_the_connection_that_is_told(
    scheme: str, gateways: Gateways, registry: Registry
) -> None:
    gateway = await gateways.start({"hub": {"kind": "oci", "url": registry.url.replace("http", scheme, 1)}})
    await registry.stop()
    got = await gateway.get(TAG)
    await gateway.close()

    assert 502 == got.status
    assert "no connection: Connection refused" in got.message
