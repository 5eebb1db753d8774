"""The genuine appr client, which verifies nothing itself, gets verified packages of genuine App Registry servers."""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import seeds, servers
from tests.peers.clients import run
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, eventually, journey, travel, travel_all

pytestmark = pytest.mark.peers

LIST = Call("appr", "list http://{at}")
PULL = Call("appr", "pull -t helm http://{at}/alice/nginx@0.1.0")
BY_DIGEST = Call("appr", "pull http://{at}/alice/nginx@sha256:{nginx}")
# no two of a row ask for the same, so that each is cold once
TOGETHER = {
    # the last is the only kind of range that the client can write
    "releases": [
        Call("appr", "pull -t helm http://{at}/alice/nginx"),
        Call("appr", "pull -t helm http://{at}/alice/nginx:stable"),
        Call("appr", "pull -t helm http://{at}/alice/nginx@0.1"),
        Call("appr", "pull -t docker-compose http://{at}/bob/app@1.0.0"),
    ],
    "lists": [
        LIST,
        Call("appr", "list -t helm -o alice -s ngi --output json http://{at}"),
        Call("appr", "list -o bob http://{at}"),
        Call("appr", "list -t kpm http://{at}"),
        Call("appr", "list -s app http://{at}"),
        Call("appr", "version http://{at}"),
    ],
    "packages": [
        Call("appr", "show -w http://{at}/alice/nginx"),
        Call("appr", "show http://{at}/alice/nginx@0.1.0"),
        Call("appr", "show http://{at}/bob/app"),
        Call("appr", "show -t dab http://{at}/bob/app"),
        Call("appr", "show http://{at}/bob/app@1.0.0"),
        Call("appr", "channel http://{at}/alice/nginx"),
        Call("appr", "channel -c beta http://{at}/alice/nginx"),
        BY_DIGEST,
    ],
    "formats": [
        PULL,
        Call("appr", "pull -t dab http://{at}/bob/app@1.0.0"),
        Call("appr", "pull -t kpm http://{at}/carol/kube@1.0.0"),
        Call("appr", "pull -t helm --tarball http://{at}/alice/nginx@0.2.0"),
        Call("appr", "inspect -t docker-compose http://{at}/bob/app@1.0.0"),
    ],
    "ranges by curl": [
        Call("curl", f"-sSf -o archive http://{{at}}/cnr/api/v1/packages/alice/nginx/{release}/helm/pull")
        for release in ("%3E%3D0.1.0", "%3E%3D0.1.0-0", "%5E0.1", "default")
    ],
}

# cnr's server, as Quay, knows no media type `-`, which is what the first of each pair asks for
GUESSED = {
    "pull http://{at}/alice/nginx@0.1.0": "pull -t helm http://{at}/alice/nginx@0.1.0",
    "pull http://{at}/alice/nginx:stable": "pull -t helm http://{at}/alice/nginx:stable",
    "pull http://{at}/carol/kube": "pull -t kpm http://{at}/carol/kube",
}
MISSING = {
    "pull -t helm http://{at}/alice/nginx@9.9.9": "package-release-not-found",
    "pull -t helm http://{at}/alice/nginx@latest": "invalid-release",
    "pull -t helm http://{at}/alice/nginx:nightly": "channel-not-found",
}


def old_quay(upstream: Upstream, **more: Any) -> dict[str, Any]:
    return {"old-quay": {"kind": "appr", "url": upstream.server.url, "missing_for": "1s", **more}}


@pytest.mark.parametrize("upstream", ["appr"], indirect=True)
@pytest.mark.parametrize("call", [LIST, PULL], ids=str)
def test_a_client_reads_through_the_default_view(call: Call, upstream: Upstream, gateways: Gateways) -> None:
    # a member of another kind is not asked, though it is named first; nobody listens there
    other = {"hub": {"kind": "oci", "url": "http://127.0.0.1:9"}}
    gateway = gateways.start({**other, **old_quay(upstream)})

    travel(call, upstream, gateway, "")


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
@pytest.mark.parametrize("calls", TOGETHER.values(), ids=TOGETHER)
def test_a_client_reads_several_things(calls: list[Call], upstream: Upstream, gateways: Gateways) -> None:
    # nothing stays fresh: warm is revalidated, and with the upstream stopped it is stale
    gateway = gateways.start(old_quay(upstream, fresh_for="0s"))

    travel_all(calls, upstream, gateway, "/old-quay")


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
def test_a_format_that_is_not_named_is_the_only_one_there_is(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start(old_quay(upstream, fresh_for="0s"))
    expected = [Call("appr", named).seen(upstream.server.host, {}) for named in GUESSED.values()]

    journey([Call("appr", guessed) for guessed in GUESSED], upstream, gateway, "/old-quay", expected)


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
def test_a_format_that_is_not_named_where_there_are_several_is_asked_for(
    upstream: Upstream, gateways: Gateways
) -> None:
    gateway = gateways.start(old_quay(upstream))
    refused = run("appr", "pull", f"{gateway.url}/old-quay/bob/app@1.0.0")

    assert 2 == refused.status
    assert re.search(r"media-type non specified: \[(dab,docker-compose|docker-compose,dab)\]", refused.err)


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
def test_what_is_looked_for_is_text_whatever_its_case(upstream: Upstream, gateways: Gateways) -> None:
    # the genuine servers take it for a regular expression: `[` is a 500 there
    gateway = gateways.start(old_quay(upstream, fresh_for="0s"))

    def found(text: str) -> list[str]:
        ran = run("appr", "list", "--output", "json", "-s", text, f"{gateway.url}/old-quay").ok()
        return [package["name"] for package in json.loads(ran.out)]

    def looked() -> list[list[str]]:
        return [found(text) for text in ("NGI", "n.inx", "[")]

    expected = [["alice/nginx"], [], []]

    assert expected == looked(), "cold"
    assert expected == looked(), "warm"
    with upstream.server.stopped():
        assert expected == looked(), "warm, upstream stopped"


@pytest.mark.parametrize("upstream", ["appr", "cnr"], indirect=True)
def test_what_is_not_there_is_said_in_the_owners_words(upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start(old_quay(upstream))

    for line, code in MISSING.items():
        genuine = Call("appr", line).run(upstream.server.host, {})
        through = Call("appr", line).run(f"{gateway.host}/old-quay", {})

        assert genuine.status == through.status, line
        assert f"code: {code}" in genuine.err
        assert f"code: {code}" in through.err


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


@pytest.mark.parametrize("call", [PULL, BY_DIGEST], ids=str)
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
