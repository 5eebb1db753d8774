"""Who is measured: the upstream itself, apprproxy before it, and the peer (distribution as a proxy), each of them a
process with an empty cache."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.peers.gateway import ROOT, Gateway
from tests.peers.process import Process, free_port, get
from tests.peers.tools import kept

Party = Callable[[Path, str], tuple[Process, str]]
"""Given an empty folder and the upstream's URL: a process, and what stands before ``/blobs/`` in its paths."""


class Upstream(Process):
    def __init__(self, folder: Path, size: int) -> None:
        port = free_port()
        command = [sys.executable, "-m", "tests.bench.upstream", str(port), str(size)]
        super().__init__(command, folder, port, "/counts")

    def _cwd(self) -> Path:
        return ROOT

    def counts(self) -> tuple[int, int]:
        """GETs of the blob, and bytes sent."""
        gets, sent = json.loads(get(self.host, "/counts")[1])
        return gets, sent


def apprproxy(**delivery: Any) -> Party:
    def party(folder: Path, url: str) -> tuple[Process, str]:
        gateway = Gateway(folder, {"hub": {"kind": "oci", "url": url}}, delivery=delivery)
        return gateway, "/v2/hub/library/app"

    return party


def distribution(folder: Path, url: str) -> tuple[Process, str]:
    """The reference implementation as a pull-through cache."""
    port, config = free_port(), folder / "config.yaml"
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of no interest"},
        "proxy": {"remoteurl": url},
    }
    config.write_text(yaml.safe_dump(settings))
    binary = kept() / "bin" / "registry"
    return Process([str(binary), "serve", str(config)], folder, port, "/v2/", {"OTEL_TRACES_EXPORTER": "none"}), (
        "/v2/library/app"
    )


def has_peer() -> bool:
    return (kept() / "bin" / "registry").exists()


@contextmanager
def running(party: Party, upstream: Upstream) -> Iterator[tuple[Process, str]]:
    """The process and the URL before ``/blobs/``, for as long as it is measured."""
    with TemporaryDirectory(prefix="bench-") as folder:
        process, path = party(Path(folder), upstream.url)
        with process:
            yield process, f"{process.url}{path}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    for row in (head, *rows):
        print(f"{row[0]!s:<28}" + "".join(f"{cell!s:>16}" for cell in row[1:]))
