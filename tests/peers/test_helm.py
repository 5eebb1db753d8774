"""Genuine helm 3 and 4 read charts from genuine registries through the gateway as they read them directly."""

import pytest

from tests.peers.clients import run
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Upstream, travel

pytestmark = pytest.mark.peers

VERBS = ["pull", "show chart", "template"]
CHART = "{verb} oci://{{at}}/charts/demo --version 0.1.0 --plain-http"


@pytest.mark.parametrize("upstream", ["distribution", "olareg"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_chart_is_read_by_prefix(helm: str, verb: str, upstream: Upstream, gateways: Gateways) -> None:
    # nothing stays fresh: warm is revalidated, and with the upstream stopped it is stale
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})

    travel(Call(helm, CHART.format(verb=verb)), upstream, gateway, "/hub")

    assert gateway.total("apprproxy_requests_total", face="oci", cache="stale") >= 1


@pytest.mark.parametrize("upstream", ["distribution"], indirect=True)
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_a_chart_is_read_through_the_default_view(helm: str, upstream: Upstream, gateways: Gateways) -> None:
    # a member of another kind is not asked, though it is named first; nobody listens there
    other = {"old-quay": {"kind": "appr", "url": "http://127.0.0.1:9"}}
    gateway = gateways.start({**other, "hub": {"kind": "oci", "url": upstream.server.url}})

    travel(Call(helm, CHART.format(verb="pull")), upstream, gateway, "")


@pytest.mark.parametrize("upstream", ["olareg"], indirect=True)
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_finds_the_newest_version_by_itself(helm: str, upstream: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url, "fresh_for": "0s"}})

    travel(Call(helm, "pull oci://{at}/charts/demo --plain-http"), upstream, gateway, "/hub")


@pytest.mark.parametrize("upstream", ["distribution"], indirect=True)
@pytest.mark.parametrize(
    ("helm", "plain"), [("helm3", "--plain-http"), ("helm3", "--insecure"), ("helm4", "--plain-http")]
)
def test_anybody_logs_in_and_pulls(helm: str, plain: str, upstream: Upstream, gateways: Gateways) -> None:
    # to helm 4, --insecure is https whose certificate is not looked at
    gateway = gateways.start({"hub": {"kind": "oci", "url": upstream.server.url}})
    login = ("registry", "login", gateway.host, "--username", "anyone", "--password", "anything", plain)
    pull = ("pull", f"oci://{gateway.host}/hub/charts/demo", "--version", "0.1.0", "--plain-http")

    assert "Login Succeeded" in run(helm, *login).ok().out + run(helm, *login).err
    assert ["demo-0.1.0.tgz"] == list(run(helm, *pull, settle=login).ok().files)
