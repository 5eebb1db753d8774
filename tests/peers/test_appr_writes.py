"""What the genuine appr client writes passes where the configuration lets it, and is seen at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import seeds, servers
from tests.peers.clients import Ran, run
from tests.peers.gateway import Gateway, Gateways
from tests.peers.process import Process
from tests.peers.quay import PASSWORD, TOKEN, USER, quay

pytestmark = pytest.mark.peers


BOTH = pytest.mark.parametrize("server", ["appr", "cnr"], indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "server").mkdir()
    with getattr(servers, getattr(request, "param", "appr"))(tmp_path / "server") as running:
        yield running


@pytest.fixture
def gateway(server: Process, gateways: Gateways) -> Gateway:
    """Names stay fresh for an hour, so that what is seen at once was forgotten on purpose."""
    return gateways.start({"old-quay": {"kind": "appr", "url": server.url, "writes": "pass", "fresh_for": "1h"}})


def chart(folder: Path, description: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"name: nginx\nversion: 0.1.0\ndescription: {description}\n")
    return folder


def listed(at: str) -> str:
    return run("appr", "list", f"http://{at}").out


def pulled(at: str) -> Ran:
    return run("appr", "pull", "-t", "helm", f"http://{at}/alice/nginx@0.1.0")


def shown(at: str) -> list[str]:
    """Release and format of what carol/kube has."""
    ran = run("appr", "show", "--output", "json", f"http://{at}/carol/kube")
    manifests = json.loads(ran.out) if ran.status == 0 else []
    formats = [manifest["mediaType"].split("package-manifest.")[1].removesuffix(".v0.json") for manifest in manifests]
    return sorted(f"{manifest['release']} {name}" for manifest, name in zip(manifests, formats, strict=True))


def test_a_push_is_seen_at_once(gateway: Gateway, tmp_path: Path) -> None:
    before = listed(gateway.host)
    absent = pulled(gateway.host)
    run("appr", "push", f"http://{gateway.host}/alice/nginx", start=chart(tmp_path / "one", "one")).ok()

    assert "alice/nginx" not in before
    assert absent.status != 0
    assert "alice/nginx" in listed(gateway.host)
    assert pulled(gateway.host).ok().files


def test_a_forced_push_through_the_gateway_renews_the_first_seen_digest(gateway: Gateway, tmp_path: Path) -> None:
    run("appr", "push", f"http://{gateway.host}/alice/nginx", start=chart(tmp_path / "one", "one")).ok()
    first = pulled(gateway.host).ok().files
    run("appr", "push", "-f", f"http://{gateway.host}/alice/nginx", start=chart(tmp_path / "two", "two")).ok()
    second = pulled(gateway.host).ok().files

    assert first != second
    assert gateway.total("apprproxy_moved_names_total") == 0


def test_a_forced_push_past_the_gateway_does_not_move_the_release(
    server: Process, gateways: Gateways, tmp_path: Path
) -> None:
    gateway = gateways.start({"old-quay": {"kind": "appr", "url": server.url, "fresh_for": "0s"}})
    run("appr", "push", f"{server.url}/alice/nginx", start=chart(tmp_path / "one", "one")).ok()
    first = pulled(gateway.host).ok().files
    run("appr", "push", "-f", f"{server.url}/alice/nginx", start=chart(tmp_path / "two", "two")).ok()
    second = pulled(gateway.host).ok().files

    assert first == second
    assert gateway.total("apprproxy_moved_names_total", upstream="old-quay") == 1


@BOTH
def test_a_push_in_every_format_is_seen_at_once(server: Process, gateway: Gateway, tmp_path: Path) -> None:
    genuine = ["1.0.0 dab", "1.0.0 docker-compose", "1.0.0 kpm"]
    assert [] == shown(gateway.host)

    seeds.push(gateway, tmp_path, "kpm", "carol/kube")
    seeds.push(gateway, tmp_path, "dab", "carol/kube")
    seeds.push(gateway, tmp_path, "docker-compose", "carol/kube")

    assert genuine == shown(server.host)
    assert genuine == shown(gateway.host)


def test_a_push_of_what_exists_is_refused_in_the_owners_words(gateway: Gateway, tmp_path: Path) -> None:
    run("appr", "push", f"{gateway.url}/alice/nginx", start=chart(tmp_path / "one", "one")).ok()
    again = run("appr", "push", f"{gateway.url}/alice/nginx", start=chart(tmp_path / "two", "two"))

    assert 2 == again.status
    assert "package-exists" in again.err


@BOTH
def test_channels_and_deletions_are_seen_at_once(server: Process, gateway: Gateway, tmp_path: Path) -> None:
    package = f"http://{gateway.host}/alice/nginx"
    seeds.fill_app_registry(server, tmp_path)

    def channels() -> dict[str, str]:
        told = json.loads(run("appr", "channel", "--output", "json", package).ok().out)
        return {channel["name"]: channel["current"] for channel in told}

    def change(*words: str) -> None:
        run("appr", *words).ok()

    assert {"stable": "0.2.0"} == channels()

    change("channel", f"{package}@0.1.0", "-c", "edge", "--set-release")
    assert {"edge": "0.1.0", "stable": "0.2.0"} == channels()

    change("channel", f"{package}@0.2.0", "-c", "stable", "--remove-release")
    assert {"edge": "0.1.0", "stable": "0.1.0"} == channels()

    change("channel", package, "-c", "edge", "--delete")
    assert {"stable": "0.1.0"} == channels()

    pulled(gateway.host).ok()
    change("delete-package", "-t", "helm", f"{package}@0.1.0")
    assert pulled(gateway.host).status != 0


def test_an_alias_pushes_below_a_prefix_and_a_bare_prefix_is_explained(gateway: Gateway, tmp_path: Path) -> None:
    package = chart(tmp_path / "one", "one")
    refused = run("appr", "push", f"http://{gateway.host}/old-quay/alice/nginx", start=package)
    alias = ("config", "alias", "up", f"http://{gateway.host}/old-quay")
    run("appr", "push", "up/alice/nginx", start=package, settle=alias).ok()

    assert refused.status != 0
    assert "appr config alias" in refused.out + refused.err
    assert pulled(gateway.host).ok().files


def test_a_write_that_is_not_let_through_names_the_key(server: Process, gateways: Gateways, tmp_path: Path) -> None:
    gateway = gateways.start({"old-quay": {"kind": "appr", "url": server.url}})
    refused = run("appr", "push", f"http://{gateway.host}/alice/nginx", start=chart(tmp_path / "one", "one"))

    assert refused.status != 0
    assert "upstreams.old-quay.writes: pass" in refused.out + refused.err
    assert "alice/nginx" not in listed(server.host)


def test_a_login_and_the_token_it_gives_pass_as_they_are(gateways: Gateways, tmp_path: Path) -> None:
    with quay() as upstream:
        gateway = gateways.start({"old-quay": {"kind": "appr", "url": upstream.url, "writes": "pass"}})
        login = ("login", gateway.url, "--user", USER, "--password")
        refused = run("appr", *login, "wrong")
        run(
            "appr",
            "push",
            f"{gateway.url}/alice/nginx",
            start=chart(tmp_path / "one", "one"),
            settle=(*login, PASSWORD),
        ).ok()
        told = [(one.path, one.authorization) for one in upstream.told]

        assert 2 == refused.status
        assert "Invalid username or password" in refused.err
        assert [
            ("/cnr/api/v1/users/login", None),
            ("/cnr/api/v1/users/login", None),
            ("/cnr/api/v1/packages/alice/nginx", TOKEN),
        ] == told
        assert {"user": {"username": USER, "password": PASSWORD}} == json.loads(upstream.told[1].body)
        assert b'"media_type": "helm"' in upstream.told[2].body


def test_a_login_is_not_passed_on_where_writes_are_refused(gateways: Gateways) -> None:
    with quay() as upstream:
        gateway = gateways.start({"old-quay": {"kind": "appr", "url": upstream.url}})
        refused = run("appr", "login", gateway.url, "--user", USER, "--password", PASSWORD)

        assert 2 == refused.status
        assert "upstreams.old-quay.writes: pass" in refused.err
        assert [] == upstream.told
