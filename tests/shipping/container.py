"""A small stand-in for a container engine: a folder as the root of a process that sees little else.

The base image is this machine's own system and Python, mounted read-only in a mount namespace of its own; a running
container has no network but loopback, no capability, and can write its volumes only. Needs root, as engines do.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PATIENCE = 120  # seconds
SYSTEM = ["usr", "bin", "sbin", "lib", "lib32", "lib64"]
LOOPBACK_UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))"


def needed() -> None:
    """Skips, or fails in CI, where containers cannot be made."""
    if os.geteuid() == 0:
        tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True)
        missing = None if tried.returncode == 0 else tried.stderr.strip()
    else:
        missing = "only root can"
    if missing is None:
        return
    sentence = f"the image's steps need mount and network namespaces: {missing}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


class Root:
    """The file system of an image, while it is made and while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mounts = [f"mount --rbind /{name} {self._inside(name)}" for name in ("dev", "proc")]
        for name in SYSTEM:
            if Path("/", name).is_symlink():
                folder.joinpath(name).symlink_to(os.readlink(f"/{name}"))
            elif Path("/", name).is_dir():
                self.mount(Path("/", name))
        if not sys.base_prefix.startswith("/usr"):
            self.mount(Path(sys.base_prefix))
        for name in ("tmp", "etc", "root"):
            self._inside(name)

    @property
    def path(self) -> str:
        """As the base image sets it."""
        return f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    def mount(self, source: Path, target: str | None = None) -> None:
        """Read-only, at the same place if none is given."""
        self._mounts.append(f"mount --bind -o ro {source} {self._inside(target or str(source))}")

    def _inside(self, name: str) -> Path:
        place = self.folder / name.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: str) -> None:
        """A step of the build, as root, everything of the image's own writable."""
        inside = ["chroot", str(self.folder), "env", f"--chdir={directory}", *command]
        script = "\n".join(["set -e", *self._mounts, f"exec {shlex.join(inside)}"])
        done = _unshare(["--net"], script, environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def started(self, volumes: Mapping[str, Path]) -> str:
        """The script that goes before a container's first command."""
        frozen = [f"mount --bind -o ro {self.folder} {self.folder}"]
        kept = [f"mount --bind {source} {self.folder}{target}" for target, source in volumes.items()]
        lines = [*frozen, *self._mounts, *kept, f'{sys.executable} -I -c "{LOOPBACK_UP}"']
        return "\n".join(["set -e", *lines])


def _unshare(
    more: Sequence[str], script: str, environment: Mapping[str, str], **options: object
) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--mount", "--propagation", "private", *more, "sh", "-c", script]
    return subprocess.run(command, env=dict(environment), **options)  # type: ignore[call-overload, no-any-return]


class Container:
    """A process in a root that is read-only but for its volumes."""

    def __init__(
        self,
        root: Root,
        user: str,
        environment: Mapping[str, str],
        directory: str,
        volumes: Mapping[str, Path],
        log: Path,
    ) -> None:
        self._root, self._environment, self._directory = root, dict(environment), directory
        self._volumes, self._log = volumes, log
        uid, _, gid = user.partition(":")
        no_power = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        self._as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *no_power]
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def output(self) -> str:
        return self._log.read_text()

    def start(self, command: Sequence[str]) -> None:
        inside = ["chroot", str(self._root.folder), *self._as_user, "env", f"--chdir={self._directory}", *command]
        script = f"{self._root.started(self._volumes)}\nexec {shlex.join(inside)}"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "--net", "sh", "-c", script],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Another command in the running container, as the same user."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--root", "--wd"]
        return subprocess.run(
            [*enter, *self._as_user, *command], env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )

    def facts(self) -> dict[str, str]:
        """What the kernel says of the process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def stop(self, number: signal.Signals) -> int:
        assert self._child is not None
        self._child.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self._child is not None
        return self._child.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
