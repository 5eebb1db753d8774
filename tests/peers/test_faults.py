"""What is wrong with an upstream is said as what it is, to genuine clients in their own protocol."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.peers import servers
from tests.peers.certificate import Certificate, certify
from tests.peers.clients import Ran, run
from tests.peers.gateway import Gateway, Gateways
from tests.peers.journey import Call, Upstream
from tests.peers.process import free_port
from tests.peers.quay import quay
from tests.peers.relay import relay
from tests.peers.said import say

pytestmark = pytest.mark.peers

FAULTS = {
    "misnamed": "the host name registry.invalid cannot be resolved",
    "refusing": "no connection: Connection refused",
    "distrusted": ": self-signed certificate",
    "locked": "does not let us in without a credential; see auth (401)",
}
"""Why there is nothing of each upstream; those of kind appr have their name with `appr-` before it."""

AWAY = {502, 503}
"""An upstream that is not to be reached is not asked for a while after some attempts, and the answer is 503 then."""

# these say what the gateway said; skopeo, of all that a server says, tells the status only
CLIENTS = [
    Call("crane", "manifest --insecure {at}/charts/demo:0.1.0"),
    Call("oras", "manifest fetch --plain-http {at}/charts/demo:0.1.0"),
    Call("helm3", "pull oci://{at}/charts/demo --version 0.1.0 --plain-http"),
    Call("helm4", "pull oci://{at}/charts/demo --version 0.1.0 --plain-http"),
    Call("regctl", "--host reg={host},tls=disabled manifest get {at}/charts/demo:0.1.0"),
    Call("skopeo", "inspect --tls-verify=false docker://{at}/charts/demo:0.1.0"),
]

Told = dict[tuple[str, str], Ran]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify("registry.example.org", tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def gateway(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """In front of every fault, in both protocols."""
    with ExitStack() as running:
        locked = running.enter_context(servers.locked_distribution(tmp_path_factory.mktemp("locked")))
        closed = running.enter_context(quay())
        secured = running.enter_context(relay(locked.host, certificate))
        urls = {
            "misnamed": "http://registry.invalid",
            "refusing": f"http://127.0.0.1:{free_port()}",
            "distrusted": f"https://{secured}",
            "locked": locked.url,
        }
        oci = {name: {"kind": "oci", "url": url} for name, url in urls.items()}
        appr = {f"appr-{name}": {"kind": "appr", "url": url} for name, url in (urls | {"locked": closed.url}).items()}
        yield running.enter_context(Gateway(tmp_path_factory.mktemp("gateway"), oci | appr))


@pytest.fixture(scope="module")
def told(gateway: Gateway) -> Told:
    """By client and fault; all at once, since most of them try again for seconds."""
    asked = [(call, fault) for fault in FAULTS for call in CLIENTS]
    with ThreadPoolExecutor(len(asked)) as pool:
        ran = pool.map(lambda one: one[0].run(f"{gateway.host}/{one[1]}", {}), asked)
        return {(call.tool, fault): done for (call, fault), done in zip(asked, ran, strict=True)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", [call.tool for call in CLIENTS])
def test_a_client_shows_why_there_is_nothing(client: str, fault: str, told: Told) -> None:
    done = told[client, fault]

    assert 0 != done.status
    if client == "skopeo":
        assert any(str(status) in done.err for status in AWAY)
    else:
        assert f"{fault}: " in done.err
        assert FAULTS[fault] in done.err


@pytest.mark.parametrize("fault", FAULTS)
def test_the_appr_client_shows_why_there_is_nothing(fault: str, gateway: Gateway) -> None:
    done = run("appr", "pull", "-t", "helm", "--output", "json", f"{gateway.url}/appr-{fault}/alice/nginx@0.1.0")

    assert 2 == done.status
    assert f"appr-{fault}: " in done.out + done.err
    assert FAULTS[fault] in done.out + done.err


@pytest.mark.parametrize("fault", FAULTS)
def test_the_answer_names_the_upstream_and_the_reason(fault: str, gateway: Gateway) -> None:
    oci = say(gateway.host, f"/v2/{fault}/charts/demo/manifests/0.1.0")
    appr = say(gateway.host, f"/appr-{fault}/cnr/api/v1/packages/alice/nginx/0.1.0/helm")
    (error,), (source,) = oci.json["errors"], appr.json["details"]["sources"]

    assert oci.status in AWAY
    assert appr.status in AWAY
    assert ["application/json"] * 2 == [answer.headers["content-type"] for answer in (oci, appr)]
    assert ("UNAVAILABLE", "upstream-failed") == (error["code"], appr.json["code"])
    assert error["message"].startswith(f"{fault}: ")
    assert appr.json["message"].startswith(f"appr-{fault}: ")
    assert f"appr-{fault}" == source["source"]
    assert all(FAULTS[fault] in said for said in (error["message"], appr.json["message"], source["reason"]))


def test_no_answer_of_a_fault_is_a_no(gateway: Gateway) -> None:
    # a client takes 404 for "there is none", and goes elsewhere
    paths = [
        f"/v2/{fault}/charts/demo/{rest}" for fault in FAULTS for rest in ("tags/list", "blobs/sha256:" + 64 * "0")
    ]
    lists = [f"/appr-{fault}/cnr/api/v1/packages" for fault in FAULTS]

    assert AWAY >= {say(gateway.host, path).status for path in paths + lists}


@pytest.mark.parametrize("upstream", ["olareg"], indirect=True)
def test_a_certificate_is_trusted_where_its_authority_is_given(
    upstream: Upstream, certificate: Certificate, gateways: Gateways
) -> None:
    call = Call("helm3", "pull oci://{at}/charts/demo --version 0.1.0 --plain-http")
    with relay(upstream.server.host, certificate) as secured:
        hub = {"kind": "oci", "url": f"https://{secured}", "tls": {"ca_file": str(certificate.path)}}
        gateway = gateways.start({"hub": hub})

        assert call.seen(upstream.server.host, {}) == call.seen(f"{gateway.host}/hub", {})
