"""A genuine operator-courier, which knows no host but quay.io, pushes through the gateway; the bundle is read back."""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.peers import servers
from tests.peers.certificate import certify
from tests.peers.clients import run
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, travel_all
from tests.peers.process import Process
from tests.peers.relay import relay
from tests.peers.said import say

pytestmark = pytest.mark.peers

PATH = "/cnr/api/v1/packages/alice/demo/0.1.0/helm/pull"
CALLS = [
    Call("appr", "pull -t helm http://{at}/alice/demo@0.1.0"),
    Call("curl", f"-sSf -o archive http://{{at}}{PATH}"),
]

PACKAGE = {"packageName": "demo", "channels": [{"name": "alpha", "currentCSV": "demo.v0.1.0"}]}
VERSION = {
    "apiVersion": "operators.coreos.com/v1alpha1",
    "kind": "ClusterServiceVersion",
    "metadata": {"name": "demo.v0.1.0"},
    "spec": {
        "displayName": "Demo",
        "description": "for the tests",
        "version": "0.1.0",
        "install": {"strategy": "deployment", "spec": {"deployments": []}},
        "installModes": [{"type": "OwnNamespace", "supported": True}],
        "customresourcedefinitions": {"owned": [{"name": "demos.example.org", "kind": "Demo", "version": "v1"}]},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1beta1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "demos.example.org"},
    "spec": {
        "group": "example.org",
        "names": {"kind": "Demo", "listKind": "DemoList", "plural": "demos", "singular": "demo"},
        "version": "v1",
    },
}


@pytest.fixture(params=["appr", "cnr"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "server").mkdir()
    with getattr(servers, request.param)(tmp_path / "server") as running:
        yield running


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    documents = {"demo.package": PACKAGE, "demo.clusterserviceversion": VERSION, "demo.crd": DEFINITION}
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_a_bundle_is_pushed_and_pulled(server: Process, manifests: Path, gateways: Gateways, tmp_path: Path) -> None:
    old_quay = {"kind": "appr", "url": server.url, "writes": "pass", "fresh_for": "0s"}
    gateway = gateways.start({"old-quay": old_quay})
    certificate = certify("quay.io", tmp_path)
    push = ("push", str(manifests), "alice", "demo", "0.1.0", "basic Ym9iOnNlY3JldA==")
    with relay(gateway.host, certificate, tunnel=True) as proxy:
        trust = {"HTTPS_PROXY": f"http://{proxy}", "REQUESTS_CA_BUNDLE": str(certificate.path)}
        run("operator-courier", *push, environment=trust).ok()
        again = run("operator-courier", *push, environment=trust)

    travel_all(CALLS, Upstream(server, {}), gateway, "/old-quay")

    packed = base64.b64decode(say(gateway.host, f"{PATH}?format=json").json["blob"])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        names = tar.getnames()
        folder = names[0]
        bundle = tar.extractfile(f"{folder}/bundle.yaml")
        assert bundle is not None
        data = yaml.safe_load(bundle.read())["data"]

    assert folder.startswith("demo-")
    assert [folder, f"{folder}/bundle.yaml"] == names, "no Chart.yaml, though it says that it is helm"
    assert [PACKAGE] == yaml.safe_load(data["packages"])
    assert 0 != again.status
    assert "package-exists" in again.err


def test_what_is_not_let_through_is_told_to_the_courier(
    server: Process, manifests: Path, gateways: Gateways, tmp_path: Path
) -> None:
    gateway = gateways.start({"old-quay": {"kind": "appr", "url": server.url}})
    certificate = certify("quay.io", tmp_path)
    with relay(gateway.host, certificate, tunnel=True) as proxy:
        trust = {"HTTPS_PROXY": f"http://{proxy}", "REQUESTS_CA_BUNDLE": str(certificate.path)}
        refused = run("operator-courier", "push", str(manifests), "alice", "demo", "0.1.0", "x", environment=trust)

    assert 0 != refused.status
    assert "upstreams.old-quay.writes: pass" in refused.err
    assert [] == json.loads(say(server.host, "/cnr/api/v1/packages").body)
