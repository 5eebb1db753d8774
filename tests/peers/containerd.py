"""A genuine containerd of a test's own: content only, nothing mounted, nothing outside its folder."""

import os
import subprocess
from pathlib import Path

from tests.peers.clients import Ran, run
from tests.peers.journey import eventually
from tests.peers.layout import digests
from tests.peers.process import Process, free_port
from tests.peers.tools import tool

CHUNK = 512 * 1024
"""How much of a blob one request of a parallel fetch takes (containerd 2)."""

# what would write outside the folder, mount, or start a runtime; a name that a version does not know does no harm
DISABLED = [
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.nri.v1.nri",
    *(f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "blockfile", "btrfs", "devmapper", "erofs")),
    *(f"io.containerd.snapshotter.v1.{name}" for name in ("overlayfs", "zfs")),
]


class Containerd(Process):
    """`generation` is what its programs' names end in: nothing is Debian's, 2 is a current one."""

    def __init__(self, folder: Path, generation: str = "") -> None:
        self._generation = generation
        self._socket = folder / "socket"
        port = free_port()
        config = folder / "config.toml"
        config.write_text(_config(folder, self._socket, port))
        super().__init__([tool(f"containerd{generation}"), "--config", str(config)], folder, port, "/v1/metrics")

    def fetch(self, image: str, hosts: Path | None = None) -> Ran:
        """All content of an image, for this machine's platform; where `hosts` is none, by plain http."""
        where = ("--hosts-dir", str(hosts)) if hosts else ("--plain-http",)
        return run(self._ctr, *self._here, "content", "fetch", *where, image)

    def fetch_in_parallel(self, image: str) -> Ran:
        """Several requests for pieces of one blob, as containerd 2 does for Kubernetes where it is told to.

        It would mount a file system to unpack an image, and has nothing to unpack in an artifact.
        """
        return run(self._ctr, *self._here, "images", "pull", "--plain-http", "--snapshotter", "native", image)

    def fetch_until(self, image: str, size: int) -> None:
        """A pull whose process is killed when it has received this much of a blob."""
        command = [tool(self._ctr), *self._here, "content", "fetch", "--plain-http", image]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env={"HOME": str(self.folder)}, stdin=quiet, stdout=quiet, stderr=quiet) as pull:
            try:
                eventually(lambda: self._has_begun(size))
            finally:
                pull.kill()

    def _has_begun(self, size: int) -> None:
        assert size in [path.stat().st_size for path in (self._content / "ingest").glob("*/data")]

    @property
    def held(self) -> dict[str, str]:
        """What is in each file of its store, by the digest that it is held under."""
        return digests(self._content / "blobs" / "sha256")

    @property
    def _ctr(self) -> str:
        return f"ctr{self._generation}"

    @property
    def _here(self) -> tuple[str, str]:
        return "--address", str(self._socket)

    @property
    def _content(self) -> Path:
        return self.folder / "root" / "io.containerd.content.v1.content"


def _config(folder: Path, socket: Path, port: int) -> str:
    owner = f"uid = {os.getuid()}\ngid = {os.getgid()}"
    return f"""\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = {DISABLED}
[grpc]
address = "{socket}"
{owner}
[ttrpc]
address = "{socket}.ttrpc"
{owner}
[metrics]
address = "127.0.0.1:{port}"
[plugins."io.containerd.transfer.v1.local"]
concurrent_layer_fetch_buffer = {CHUNK}
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux"
snapshotter = "native"
"""
