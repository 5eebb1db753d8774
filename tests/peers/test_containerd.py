"""A genuine containerd reads images through the gateway as it reads them directly, however it names them."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.peers.containerd import Containerd
from tests.peers.faults import Faulty, faulty
from tests.peers.gateway import Gateways
from tests.peers.journey import Call, Seen, Upstream, travel
from tests.peers.pullers import wrong

pytestmark = pytest.mark.peers

HOST = "hub.example.org"
HOSTS = (
    'server = "http://127.0.0.1:9"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\noverride_path = {override}\n'
)
"""Nobody answers at the registry itself: what is pulled comes from the host of this file."""


@dataclass(frozen=True, slots=True)
class Fetch(Call):
    """By a daemon with an empty store; `line` is the image, and with a host the mirrors of that host are asked."""

    def seen(self, at: str, digests: dict[str, str]) -> Seen:
        with TemporaryDirectory(prefix="containerd-") as name:
            folder = Path(name)
            with Containerd(folder, self.tool.removeprefix("containerd")) as daemon:
                if self.line.startswith(HOST):
                    daemon.fetch(self.line, _hosts(folder / "hosts", at)).ok()
                else:
                    daemon.fetch(f"{at}/{self.line}").ok()
                return [], daemon.held


def _hosts(folder: Path, at: str) -> Path:
    """What hosts.toml says of the host: ask there, with `ns`, and below that path if there is one."""
    host, _, prefix = at.partition("/")
    url = f"http://{host}/v2/{prefix}" if prefix else f"http://{host}"
    (folder / HOST).mkdir(parents=True)
    (folder / HOST / "hosts.toml").write_text(HOSTS.format(url=url, override="true" if prefix else "false"))
    return folder


@pytest.mark.parametrize("prefix", ["", "/hub"], ids=["by ns", "by ns below a prefix"])
@pytest.mark.parametrize("generation", ["containerd", "containerd2"])
def test_containerd_reads_by_a_hosts_file(generation: str, prefix: str, large: Upstream, gateways: Gateways) -> None:
    hub = {"kind": "oci", "url": large.server.url, "ns": [HOST], "fresh_for": "0s"}
    gateway = gateways.start({"other": {"kind": "oci", "url": "http://127.0.0.1:9"}, "hub": hub})

    travel(Fetch(generation, f"{HOST}/images/large:1.0"), large, gateway, prefix)


@pytest.mark.parametrize("generation", ["containerd", "containerd2"])
def test_containerd_reads_by_prefix(generation: str, large: Upstream, gateways: Gateways) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": large.server.url, "fresh_for": "0s"}})

    travel(Fetch(generation, "images/large:1.0"), large, gateway, "/hub")


def test_a_parallel_fetch_costs_one_transfer(layer: str, owner: Faulty, gateways: Gateways, tmp_path: Path) -> None:
    gateway = gateways.start({"hub": {"kind": "oci", "url": owner.url}})
    with faulty(gateway.host) as asked, Containerd(tmp_path, "2") as daemon:
        daemon.fetch_in_parallel(f"{asked.host}/hub/artifacts/large:1.0").ok()

        assert "bytes=0-" in asked.ranges(layer)
        assert len(asked.ranges(layer)) > 4, "it did not fetch in parallel"
        assert [None] == owner.ranges(layer)
        assert layer in daemon.held
        assert {} == wrong(daemon.held)
