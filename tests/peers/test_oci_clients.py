"""Genuine crane, oras and skopeo read images and artifacts through the gateway as they read them directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import seeds, servers
from tests.peers.clients import run
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, eventually, journey, travel, travel_all
from tests.peers.said import say

pytestmark = pytest.mark.peers

CALLS = [
    Call("crane", "pull --insecure --format oci {at}/images/multi:1.0 image"),
    Call("crane", "validate --insecure --remote {at}/images/multi:1.0"),
    Call("crane", "ls --insecure {at}/images/multi"),
    Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing:1.0"),
    Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing@{signature}"),
    Call("oras", "discover --plain-http --no-tty {at}/artifacts/thing:1.0"),
    Call("skopeo", "inspect --tls-verify=false docker://{at}/images/multi:1.0"),
    Call("skopeo", "--insecure-policy copy --all --src-tls-verify=false docker://{at}/images/multi:1.0 dir:image"),
]

DISCOVERIES = [
    Call("oras", f"discover --plain-http --format json --artifact-type {seeds.SIGNATURE} {{at}}/artifacts/thing:1.0"),
    Call("oras", f"discover --plain-http --format json --artifact-type {seeds.SBOM} {{at}}/artifacts/thing@{{thing}}"),
    Call("oras", "discover --plain-http --format json --artifact-type nothing/such {at}/artifacts/thing:1.0"),
    Call("oras", "discover --plain-http --format json --depth 1 {at}/artifacts/thing@{sbom}"),
    Call("oras", "discover --plain-http --format json {at}/artifacts/thing@{sbom_signature}"),
    Call("regctl", "--host reg={host},tls=disabled artifact list {at}/artifacts/thing:1.0"),
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


@pytest.mark.parametrize("upstream", ["distribution", "olareg"], indirect=True)
def test_who_refers_to_what_is_told_as_the_upstream_tells_it(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})

    travel_all(DISCOVERIES, upstream, gateway, "/hub")


@pytest.mark.parametrize("upstream", ["distribution", "olareg"], indirect=True)
def test_oras_finds_the_signature_the_sbom_and_its_signature(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url}})
    tree = run("oras", "discover", "--plain-http", "--no-tty", f"{gateway.host}/hub/artifacts/thing:1.0").ok().out

    assert all(upstream.digests[name] in tree for name in ("signature", "sbom", "sbom_signature"))


@pytest.mark.parametrize("upstream", ["distribution", "olareg"], indirect=True)
@pytest.mark.parametrize("copy", ["image copy images/multi:1.0", "image copy --referrers artifacts/thing:1.0"])
def test_regctl_copies_all_there_is(copy: str, upstream: Upstream, gateways: Gateways, tmp_path: Path) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})
    *words, image = copy.split()

    def copied(host: str, prefix: str, stage: str) -> list[bytes]:
        """What the files say. An index of referrers is regctl's own, in the order of their arrival."""
        layout = tmp_path / stage
        plain = ("--host", f"reg={host},tls=disabled")
        run("regctl", *plain, *words, f"{host}{prefix}/{image}", f"ocidir://{layout}:1.0").ok()
        contents = [path.read_bytes() for path in (layout / "blobs").rglob("*") if path.is_file()]
        return sorted(bytes(sorted(content)) if b'"manifests"' in content else content for content in contents)

    genuine = copied(upstream.server.host, "", "genuine")

    assert genuine == copied(gateway.host, "/hub", "cold")
    assert genuine == copied(gateway.host, "/hub", "warm")
    with upstream.server.stopped():
        assert genuine == copied(gateway.host, "/hub", "stopped")


@pytest.mark.parametrize("upstream", ["distribution"], indirect=True)
def test_a_catalog_is_read_through_the_default_view(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})

    travel(Call("crane", "catalog --insecure {at}"), upstream, gateway, "")


@pytest.mark.parametrize("upstream", ["olareg"], indirect=True)
def test_an_upstream_without_a_catalog_is_said_to_have_none(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url}})
    refused = run("crane", "catalog", "--insecure", gateway.host)

    assert refused.status != 0
    assert "hub: offers no catalog" in refused.err


@pytest.mark.parametrize("upstream", ["distribution"], indirect=True)
def test_a_host_that_a_client_names_is_answered_for_and_no_other(upstream: Upstream, gateways: Gateways) -> None:
    # containerd asks so of its mirrors; no client here can
    hub = {"kind": "oci", "url": upstream.server.url, "ns": ["hub.example.org"], "fresh_for": "0s"}
    other = {"kind": "oci", "url": "http://127.0.0.1:9"}
    gateway = gateways.start({"other": other, "hub": hub})
    path = "/v2/charts/demo/manifests/0.1.0"

    def asked(path: str) -> tuple[int, str | None, bytes]:
        said = say(gateway.host, f"{path}?ns=hub.example.org")
        return said.status, said.headers.get("oci-namespace"), said.body

    genuine = say(upstream.server.host, path, Accept="application/vnd.oci.image.manifest.v1+json")
    expected = 200, "hub.example.org", genuine.body

    assert 200 == genuine.status
    assert expected == asked(path), "cold"
    assert expected == asked(path), "warm"
    assert expected == asked("/v2/hub/charts/demo/manifests/0.1.0"), "with the prefix as well"
    with upstream.server.stopped():
        assert expected == asked(path), "warm, upstream stopped"
    assert 404 == say(gateway.host, f"{path}?ns=elsewhere.example.org").status
    assert 502 == say(gateway.host, path).status, "without it, the default view's first member is asked"


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


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Upstream]:
    """A distribution registry that lets nobody in without a password."""
    for folder in ("server", "seed"):
        (tmp_path / folder).mkdir()
    with servers.locked_distribution(tmp_path / "server") as server:
        yield Upstream(server, seeds.fill_artifact(server, tmp_path / "seed", *LOGIN))


LOGIN = ("--username", servers.USER, "--password", servers.PASSWORD)
LOCKED = Call("oras", "pull --plain-http --no-tty {at}/artifacts/thing:1.0")


def test_a_locked_registry_is_read_with_the_gateways_password(
    locked: Upstream, tmp_path: Path, gateways: Gateways
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{servers.PASSWORD}\n")
    genuine = Call("oras", " ".join([LOCKED.line, *LOGIN])).seen(locked.server.host, locked.digests)
    auth = {"username": servers.USER, "password_file": str(secret)}
    gateway = gateways.start({"hub": {"kind": "oci", "url": locked.server.url, "auth": auth}})

    assert LOCKED.run(locked.server.host, locked.digests).status != 0
    assert genuine == LOCKED.seen(f"{gateway.host}/hub", locked.digests)


def test_a_locked_registry_is_read_with_the_account_that_oras_login_wrote(
    locked: Upstream, tmp_path: Path, gateways: Gateways
) -> None:
    file = tmp_path / "config.json"
    run("oras", "login", "--plain-http", "--registry-config", str(file), *LOGIN, locked.server.host).ok()
    genuine = Call("oras", " ".join([LOCKED.line, *LOGIN])).seen(locked.server.host, locked.digests)
    auth = {"docker_config": str(file)}
    hub = {"kind": "oci", "url": locked.server.url, "auth": auth, "fresh_for": "0s"}
    gateway = gateways.start({"hub": hub})

    journey([LOCKED], locked, gateway, "/hub", [genuine])


def test_an_account_for_another_host_is_not_presented(locked: Upstream, tmp_path: Path, gateways: Gateways) -> None:
    file = tmp_path / "config.json"
    run("oras", "login", "--plain-http", "--registry-config", str(file), *LOGIN, locked.server.host).ok()
    file.write_text(file.read_text().replace(locked.server.host, "elsewhere.example.org"))
    hub = {"kind": "oci", "url": locked.server.url, "auth": {"docker_config": str(file)}}
    gateway = gateways.start({"hub": hub})
    said = say(gateway.host, "/v2/hub/artifacts/thing/manifests/1.0")

    assert 502 == said.status
    assert "does not let us in without a credential" in said.json["errors"][0]["message"]
