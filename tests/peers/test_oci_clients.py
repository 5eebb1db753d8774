"""Genuine crane, oras and skopeo read images and artifacts through the gateway as they read them directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import seeds, servers
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, eventually, travel

pytestmark = pytest.mark.peers

CALLS = [
    Call("crane", "pull --insecure --format oci {at}/images/multi:1.0 image"),
    Call("crane", "validate --insecure --remote {at}/images/multi:1.0"),
    Call("crane", "ls --insecure {at}/images/multi"),
    Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing:1.0"),
    Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing@{signature}"),
    Call("skopeo", "inspect --tls-verify=false docker://{at}/images/multi:1.0"),
    Call("skopeo", "--insecure-policy copy --all --src-tls-verify=false docker://{at}/images/multi:1.0 dir:image"),
]


@pytest.mark.parametrize("upstream", ["distribution", "olareg"], indirect=True)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_client_reads_by_prefix(call: Call, upstream: Upstream, gateways: Gateways) -> None:
    # nothing stays fresh: warm is revalidated, and with the upstream stopped it is stale
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})

    travel(call, upstream, gateway, "/hub")


@pytest.mark.parametrize("upstream", ["distribution"], indirect=True)
@pytest.mark.parametrize("call", [CALLS[1], CALLS[3], CALLS[6]], ids=str)
def test_a_client_reads_through_the_default_view(call: Call, upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url}})

    travel(call, upstream, gateway, "")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Upstream]:
    """A distribution registry that a test may spoil."""
    for folder in ("server", "seed"):
        (tmp_path / folder).mkdir()
    with servers.distribution(tmp_path / "server") as server:
        yield Upstream(server, seeds.fill_artifact(server, tmp_path / "seed"))


@pytest.mark.parametrize(
    "call",
    [
        Call("crane", "pull --insecure --format oci {at}/artifacts/thing:1.0 image"),
        Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing:1.0"),
    ],
    ids=str,
)
def test_a_spoilt_blob_is_refused_until_it_is_repaired(call: Call, alone: Upstream, gateways: Gateways) -> None:
    genuine = call.seen(alone.server.host, alone.digests)
    content = b"a thing\n" * 1000
    [stored] = [path for path in alone.server.folder.rglob("data") if path.is_file() and path.read_bytes() == content]
    stored.write_bytes(content.replace(b"thing", b"thinG"))
    gateway = gateways.start({"hub": {"kind": "oci", "url": alone.server.url, "missing_for": "1s"}})
    refused = call.run(f"{gateway.host}/hub", alone.digests)

    assert refused.status != 0
    assert not any(name.endswith("thing.txt") for name in refused.files)
    assert gateway.total("apprproxy_digest_mismatches_total", upstream="hub", source="owner") >= 1

    stored.write_bytes(content)

    assert genuine == eventually(lambda: call.seen(f"{gateway.host}/hub", alone.digests))


def test_a_locked_registry_is_read_with_the_gateways_password(tmp_path: Path, gateways: Gateways) -> None:
    for folder in ("server", "seed"):
        (tmp_path / folder).mkdir()
    secret = tmp_path / "password"
    secret.write_text(f"{servers.PASSWORD}\n")
    login = ("--username", servers.USER, "--password", servers.PASSWORD)
    call = Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing:1.0")
    with servers.locked_distribution(tmp_path / "server") as server:
        locked = Upstream(server, seeds.fill_artifact(server, tmp_path / "seed", *login))
        genuine = Call("oras", " ".join([call.line, *login])).seen(server.host, locked.digests)
        auth = {"username": servers.USER, "password_file": str(secret)}
        gateway = gateways.start({"hub": {"kind": "oci", "url": server.url, "auth": auth}})

        assert call.run(server.host, locked.digests).status != 0
        assert genuine == call.seen(f"{gateway.host}/hub", locked.digests)
