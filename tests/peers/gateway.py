"""The gateway as its users run it: a process with a configuration file, seen through HTTP, metrics and logs only."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.peers.layout import digests
from tests.peers.process import Process, free_port, get

ROOT = Path(__file__).parents[2]


class Gateway(Process):
    """`upstreams` and whatever else is given are keys of the configuration file."""

    def __init__(self, folder: Path, upstreams: Mapping[str, Any], **more: Any) -> None:
        port = free_port()
        config = folder / "apprproxy.yaml"
        settings = {
            "server": {"listen": f"127.0.0.1:{port}"},
            "cache": {"directory": str(folder / "cache")},
            "upstreams": dict(upstreams),
            "views": {"default": list(upstreams)},
            **more,
        }
        config.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "apprproxy", "serve", "--config", str(config)]
        super().__init__(command, folder, port, "/readyz")
        self.name = "gateway"

    def _cwd(self) -> Path:
        return ROOT

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    @property
    def kept(self) -> dict[str, str]:
        """What is in each blob of its cache, by the digest that it goes by."""
        return digests(self.folder / "cache" / "blobs" / "sha256")

    def total(self, metric: str, **labels: str) -> float:
        """The sum over all samples of a metric that have these labels."""
        families = text_string_to_metric_families(get(self.host, "/metrics")[1].decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == metric and labels.items() <= s.labels.items())


class Gateways:
    """Starts gateways, each with an empty cache, and ends them all."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self.started: list[Gateway] = []
        self._folder = folder

    def start(self, upstreams: Mapping[str, Any], **more: Any) -> Gateway:
        gateway = Gateway(self._folder(), upstreams, **more)
        gateway.start()
        self.started.append(gateway)
        return gateway

    def close(self) -> list[int | None]:
        """Their exit statuses."""
        return [gateway.stop() for gateway in self.started]
