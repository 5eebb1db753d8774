"""The genuine appr client, which verifies nothing itself, gets verified packages of genuine App Registry servers."""

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import seeds, servers
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, eventually, travel

pytestmark = pytest.mark.peers

CALLS = [
    Call("appr", "list http://{at}"),
    Call("appr", "list -t helm -o alice -s ngi --output json http://{at}"),
    Call("appr", "show -w http://{at}/alice/nginx"),
    Call("appr", "show http://{at}/alice/nginx@0.1.0"),
    Call("appr", "pull -t helm http://{at}/alice/nginx@0.1.0"),
    Call("appr", "pull -t docker-compose http://{at}/bob/app@1.0.0"),
    Call("appr", "pull http://{at}/alice/nginx@sha256:{nginx}"),
]
# cnr's server knows no media type `-`, which is what this asks for
GUESSED = Call("appr", "pull http://{at}/alice/nginx@0.1.0")


def old_quay(upstream: Upstream, **more: Any) -> dict[str, Any]:
    return {"old-quay": {"kind": "appr", "url": upstream.server.url, "missing_for": "1s", **more}}


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_client_reads_by_prefix(call: Call, upstream: Upstream, gateways: Gateways) -> None:
    # nothing stays fresh: warm is revalidated, and with the upstream stopped it is stale
    gateway = gateways.start(old_quay(upstream, fresh_for="0s"))

    travel(call, upstream, gateway, "/old-quay")


@pytest.mark.parametrize("upstream", ["appr"], indirect=True)
@pytest.mark.parametrize("call", [CALLS[0], CALLS[4]], ids=str)
def test_a_client_reads_through_the_default_view(call: Call, upstream: Upstream, gateways: Gateways) -> None:
    # a member of another kind is not asked, though it is named first; nobody listens there
    other = {"hub": {"kind": "oci", "url": "http://127.0.0.1:9"}}
    gateway = gateways.start({**other, **old_quay(upstream)})

    travel(call, upstream, gateway, "")


@pytest.mark.parametrize("upstream", ["appr"], indirect=True)
def test_the_upstream_says_which_format_a_package_has(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start(old_quay(upstream, fresh_for="0s"))

    travel(GUESSED, upstream, gateway, "/old-quay")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Upstream]:
    """An appr server that a test may spoil."""
    for folder in ("server", "seed"):
        (tmp_path / folder).mkdir()
    with servers.appr(tmp_path / "server") as server:
        yield Upstream(server, seeds.fill_app_registry(server, tmp_path / "seed"))


def spoilt(stored: bytes) -> bytes:
    """Another port in values.yaml: still base64 of a gzip of a tar, or the server itself would refuse it."""
    tar = gzip.decompress(base64.b64decode(stored))
    assert b"port: 80\n" in tar

    return base64.b64encode(gzip.compress(tar.replace(b"port: 80\n", b"port: 81\n")))


@pytest.mark.parametrize("call", [CALLS[4], CALLS[6]], ids=str)
def test_a_spoilt_package_is_refused_until_it_is_repaired(call: Call, alone: Upstream, gateways: Gateways) -> None:
    genuine = call.seen(alone.server.host, alone.digests)
    [package] = alone.server.folder.rglob(f"digests/sha256/{alone.digests['nginx']}")
    content = package.read_bytes()
    package.write_bytes(spoilt(content))
    gateway = gateways.start(old_quay(alone))
    deceived = call.run(alone.server.host, alone.digests)
    refused = call.run(f"{gateway.host}/old-quay", alone.digests)

    assert deceived.status == 0, "the client itself should have noticed nothing"
    assert refused.status != 0
    assert not refused.files
    assert gateway.total("apprproxy_digest_mismatches_total", upstream="old-quay", source="owner") >= 1

    package.write_bytes(content)

    assert genuine == eventually(lambda: call.seen(f"{gateway.host}/old-quay", alone.digests))
