"""What the genuine appr client writes passes where the configuration lets it, and is seen at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import seeds, servers
from tests.peers.clients import Ran, run
from tests.peers.gateway import Gateway, Gateways
from tests.peers.process import Process

pytestmark = pytest.mark.peers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "server").mkdir()
    with servers.appr(tmp_path / "server") as running:
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


def test_channels_and_deletions_are_seen_at_once(server: Process, gateway: Gateway, tmp_path: Path) -> None:
    package = f"http://{gateway.host}/alice/nginx"
    seeds.fill_app_registry(server, tmp_path)
    before = run("appr", "channel", package).ok().out
    run("appr", "channel", f"{package}@0.1.0", "-c", "edge", "--set-release").ok()
    after = run("appr", "channel", package).ok().out
    pulled(gateway.host).ok()
    run("appr", "delete-package", "-t", "helm", f"{package}@0.1.0").ok()

    assert "edge" not in before
    assert "edge" in after
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
