"""The chart: what helm 3 and helm 4 make of it is what a careful operator would have written."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from apprproxy import __version__
from apprproxy.serving import GRACE
from apprproxy.settings import BadConfiguration, load
from tests.peers.clients import run
from tests.peers.tools import tool
from tests.shipping.chart import CHART, PROJECT, Helm, Rendered, settings
from tests.shipping.command import checked
from tests.shipping.dockerfile import read

pytestmark = pytest.mark.peers

LOCKED = ["--values", str(Path(__file__).parent / "locked-values.yaml")]
ALL_VALUES = pytest.mark.parametrize("values", [[], LOCKED], ids=["default", "locked"])


@pytest.fixture(params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    tool(request.param)
    return Helm(request.param)


@pytest.fixture
def default(helm: Helm) -> Rendered:
    return helm.template()


@pytest.fixture
def locked(helm: Helm) -> Rendered:
    return helm.template(*LOCKED)


@ALL_VALUES
def test_it_passes_the_strict_lint(values: list[str], helm: Helm) -> None:
    linted = run(helm.name, "lint", "--strict", str(CHART), *values).ok()

    assert "0 chart(s) failed" in linted.out


@ALL_VALUES
def test_its_configuration_passes_the_gateways_check(values: list[str], helm: Helm, tmp_path: Path) -> None:
    path = helm.template(*values).configuration(tmp_path)
    ran = checked("--elsewhere", "--config", str(path))

    assert 0 == ran.exit_code, ran.output


def test_the_check_that_the_values_describe_is_one(helm: Helm, tmp_path: Path) -> None:
    if shutil.which("yq") is None:
        pytest.skip("yq is not installed")
    values = (CHART / "values.yaml").read_text()
    described = re.search(r"(?m)^# +helm (.*\| yq .*)\n# +apprproxy check (.*)$", values)
    assert described is not None
    (tmp_path / "my-values.yaml").write_text("config: {upstreams: {hub: {kind: oci, url: 'https://hub.example'}}}")
    made = described[1].replace("template . ", f"template {CHART} ")
    subprocess.run(["sh", "-c", f"{tool(helm.name)} {made}"], cwd=tmp_path, check=True)
    arguments = described[2].replace("c.yaml", str(tmp_path / "c.yaml")).split()
    ran = checked(*arguments)

    assert 0 == ran.exit_code, ran.output
    assert "https://hub.example" in ran.output


def test_the_configuration_that_is_given_is_the_one_that_holds(locked: Rendered, tmp_path: Path) -> None:
    held = load(locked.configuration(tmp_path), {})

    assert ["0.0.0.0:8080"] == held.server.addresses
    assert ["quay.io", "old-quay"] == held.default_view("oci") + held.default_view("appr")
    assert held.upstreams["quay.io"].auth is not None
    assert "bot" == held.upstreams["quay.io"].auth.username


def test_the_default_trusts_nobody_for_names(default: Rendered, tmp_path: Path) -> None:
    assert {} == load(default.configuration(tmp_path), {}).upstreams


def test_an_account_that_is_not_knowingly_shared_is_refused_by_the_gateway(helm: Helm, tmp_path: Path) -> None:
    rendered = helm.template(*LOCKED, *settings(r"config.upstreams.quay\.io.auth.share=false"))

    with pytest.raises(BadConfiguration, match=r"upstreams\.quay\.io\.auth: .*share: true"):
        load(rendered.configuration(tmp_path), {})


def test_the_pod_reads_the_configuration_where_it_is_mounted(default: Rendered) -> None:
    *_, option, path = default.container["args"]
    volume = default.mounts[str(Path(path).parent)]

    assert "--config" == option
    assert [{"name": "test-apprproxy"}] == [
        each["configMap"] for each in default.pod["volumes"] if each["name"] == volume
    ]


def test_a_password_file_lies_in_a_mounted_secret(locked: Rendered, tmp_path: Path) -> None:
    auth = load(locked.configuration(tmp_path), {}).upstreams["quay.io"].auth
    assert auth is not None
    assert auth.password_file is not None
    volume = locked.mounts[str(auth.password_file.parent)]
    [secret] = [each["secret"] for each in locked.pod["volumes"] if each["name"] == volume]

    assert "password" == auth.password_file.name
    assert {"secretName": "quay-bot", "defaultMode": 0o440} == secret


@ALL_VALUES
def test_the_container_has_no_privilege(values: list[str], helm: Helm) -> None:
    rendered = helm.template(*values)

    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == rendered.container["securityContext"]
    assert {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items() <= rendered.pod["securityContext"].items()
    assert rendered.pod["automountServiceAccountToken"] is False
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False


def test_it_runs_as_the_images_user_who_can_write_the_volume(default: Rendered) -> None:
    [user] = [step.rest for step in read((PROJECT / "Dockerfile").read_text()) if step.name == "USER"]
    context = default.pod["securityContext"]

    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsGroup"] == context["fsGroup"]


def test_the_image_is_that_of_the_charts_version(helm: Helm, default: Rendered) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    digest = "sha256:" + 64 * "a"
    pinned = helm.template(*settings(f"image.digest={digest}"))

    assert __version__ == chart["appVersion"]
    assert f"apprproxy:{__version__}" == default.container["image"]
    assert f"apprproxy@{digest}" == pinned.container["image"]


def test_it_is_alive_when_it_runs_and_ready_when_it_can_serve(default: Rendered) -> None:
    probes = {name: default.container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"} == {
        name: probe["path"] for name, probe in probes.items()
    }
    assert {"registry"} == {probe["port"] for probe in probes.values()}
    assert {"HTTP"} == {probe["scheme"] for probe in probes.values()}


def test_a_gateway_with_tls_is_probed_with_tls(helm: Helm) -> None:
    rendered = helm.template(*settings("config.server.tls.cert=/tls/tls.crt", "config.server.tls.key=/tls/tls.key"))

    assert "HTTPS" == rendered.container["readinessProbe"]["httpGet"]["scheme"]


def test_ports_follow_the_configuration(helm: Helm) -> None:
    listen = settings("config.server.listen={0.0.0.0:9000,[::]:9001}", "config.server.ops=0.0.0.0:9090")
    rendered = helm.template(*listen, *settings("service.port=80"))
    service = rendered.one("Service")["spec"]

    assert {"registry": 9000, "ops": 9090} == _ports(rendered.container["ports"], "containerPort")
    assert {"registry": 80, "ops": 9090} == _ports(service["ports"], "port")
    assert {"registry", "ops"} == {port["targetPort"] for port in service["ports"]}


def _ports(ports: list[dict[str, Any]], key: str) -> dict[str, int]:
    return {port["name"]: port[key] for port in ports}


def test_services_find_the_pods(default: Rendered) -> None:
    labels = default.stateful_set["template"]["metadata"]["labels"]
    services = [default.one("Service"), default.one("Service", "-headless")]

    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()
    assert default.stateful_set["selector"]["matchLabels"].items() <= labels.items()
    assert "ClusterIP" == services[0]["spec"]["type"]
    assert "None" == services[1]["spec"]["clusterIP"]
    assert services[1]["metadata"]["name"] == default.stateful_set["serviceName"]


def test_each_replica_has_a_volume_where_its_cache_is(locked: Rendered, tmp_path: Path) -> None:
    directory = load(locked.configuration(tmp_path), {}).cache.directory
    [claim] = locked.stateful_set["volumeClaimTemplates"]

    assert claim["metadata"]["name"] == locked.mounts[str(directory)]
    assert "local-path" == claim["spec"]["storageClassName"]
    assert "100Gi" == claim["spec"]["resources"]["requests"]["storage"]


def test_without_persistence_the_cache_lies_in_an_empty_directory(helm: Helm) -> None:
    rendered = helm.template(*settings("persistence.enabled=false"))
    unbounded = helm.template(*settings("persistence.enabled=false", "emptyDir.sizeLimit="))

    assert "volumeClaimTemplates" not in rendered.stateful_set
    assert {"name": "cache", "emptyDir": {"sizeLimit": "20Gi"}} in rendered.pod["volumes"]
    assert {"name": "cache", "emptyDir": {}} in unbounded.pod["volumes"]


def test_a_pod_is_given_time_to_finish_its_transfers(default: Rendered) -> None:
    [*_, waiting] = default.container["lifecycle"]["preStop"]["exec"]["command"]

    assert "import time; time.sleep(5)" == waiting
    assert default.pod["terminationGracePeriodSeconds"] > GRACE + 5


def test_nothing_of_the_clusters_is_taken_for_configuration(default: Rendered) -> None:
    linked = {"APPRPROXY_SERVICE_HOST": "10.0.0.1", "APPRPROXY_PORT": "tcp://10.0.0.1:8080"}

    assert default.pod["enableServiceLinks"] is False
    with pytest.raises(BadConfiguration, match=r"APPRPROXY_PORT: .*enableServiceLinks: false"):
        load(None, linked)


def test_a_changed_configuration_restarts_the_pods(helm: Helm, default: Rendered, locked: Rendered) -> None:
    scaled = helm.template(*settings("replicaCount=2"))

    assert _checksum(default) == _checksum(scaled) != _checksum(locked)


def _checksum(rendered: Rendered) -> object:
    return rendered.stateful_set["template"]["metadata"]["annotations"]["checksum/config"]


def test_what_is_left_to_the_operator_reaches_the_pod(locked: Rendered) -> None:
    assert "platform" == locked.stateful_set["template"]["metadata"]["labels"]["team"]
    assert {"disk": "local"} == locked.pod["nodeSelector"]
    assert [{"key": "dedicated", "operator": "Exists"}] == locked.pod["tolerations"]
    assert [{"name": "HTTPS_PROXY", "value": "http://proxy.corp:3128"}] == locked.container["env"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("replicaCounts=2", "replicaCounts"),
        ("service.port=http", "port"),
        ("persistence.accessModes={ReadWriteMany}", "accessModes"),
        ("config.server.listen=8080", "listen"),
        ("config.cache.directory=relative", "directory"),
        ("config.server.listen=127.0.0.1:8080", "config.server.listen is on loopback"),
        ("config.server.ops=127.0.0.1:9090", "config.server.ops is on loopback"),
        ("config.server.ops=0.0.0.0:8080", "config.server.ops has the port of config.server.listen"),
        ("service.port=9090,config.server.ops=0.0.0.0:9090", "config.server.ops has the port of service.port"),
        ("config.cache.max_size=21GiB", "config.cache.max_size is more than the volume has, 20Gi"),
        ("config.cache.max_size=1TiB", "config.cache.max_size is more than the volume has, 20Gi"),
        ("persistence.size=18G", "config.cache.max_size is more than the volume has, 18G"),
        ("terminationGracePeriodSeconds=35", "terminationGracePeriodSeconds must exceed"),
        ("secretMounts[0].secretName=x", "mountPath"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(value: str, said: str, helm: Helm) -> None:
    assert said in helm.refusal(*settings(value))


@pytest.mark.parametrize(
    "values",
    [
        ["config.cache.max_size=20GiB"],
        ["config.cache.max_size=1.5TiB", "persistence.size=2Ti"],
        ["config.cache.max_size=18GiB", "persistence.size=20G"],
        ["config.cache.max_size=100GiB", "persistence.enabled=false", "emptyDir.sizeLimit="],
    ],
)
def test_a_cap_that_fits_the_volume_is_taken(values: list[str], helm: Helm) -> None:
    helm.template(*settings(*values))


def test_an_empty_directory_has_room_for_the_cap(helm: Helm) -> None:
    values = settings("persistence.enabled=false", "emptyDir.sizeLimit=1Gi")

    assert "config.cache.max_size is more than the volume has, 1Gi" in helm.refusal(*values)


def test_an_installation_ends_with_the_commands_to_try() -> None:
    # helm 3 shows them only where it reaches a cluster
    notes = run("helm4", "install", "test", str(CHART), "--dry-run=client", *LOCKED).ok().out

    assert "helm pull oci://localhost:8080/quay.io/REPOSITORY/CHART --version VERSION --plain-http" in notes
    assert "appr pull http://localhost:8080/old-quay/OWNER/PACKAGE@VERSION" in notes


def test_an_installation_without_upstreams_says_that_it_has_none() -> None:
    notes = run("helm4", "install", "test", str(CHART), "--dry-run=client").ok().out

    assert "It has no upstreams yet" in notes


def test_several_replicas_serve_while_nodes_are_drained(helm: Helm, default: Rendered) -> None:
    two = helm.template(*settings("replicaCount=2"))
    budget, labels = two.one("PodDisruptionBudget")["spec"], two.stateful_set["template"]["metadata"]["labels"]
    [spread] = two.pod["topologySpreadConstraints"]

    assert 1 == budget["maxUnavailable"]
    assert "kubernetes.io/hostname" == spread["topologyKey"]
    for selector in (budget["selector"], spread["labelSelector"]):
        assert selector["matchLabels"].items() <= labels.items()
    assert "PodDisruptionBudget" not in {each["kind"] for each in default.objects}
    assert "topologySpreadConstraints" not in default.pod


def test_how_replicas_are_spread_is_for_the_operator_to_say(helm: Helm) -> None:
    zones = "topologySpreadConstraints[0].topologyKey=topology.kubernetes.io/zone"
    [spread] = helm.template(*settings("replicaCount=2", zones)).pod["topologySpreadConstraints"]

    assert {"topologyKey": "topology.kubernetes.io/zone"} == spread
