"""apprproxy where everybody may read it, wherever this checkout and this Python are."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import apprproxy
from apprproxy.store.directory.place import prepare
from tests.fakes.command import not_ours
from tests.fakes.stranger import NOBODY

_PLACES = {
    "python": sys.base_prefix,
    "packages": sysconfig.get_path("purelib"),
    "checkout": str(Path(apprproxy.__file__).parents[1]),
}


class Installed:
    """In ``folder``, through which everybody may pass, and beside a ``cache`` that is nobody's. Root's otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "program"
        for name in _PLACES:
            (self.program / name).mkdir(parents=True)
        self.cache = folder / "cache"
        prepare(self.cache)
        (self.cache / "spare").unlink(missing_ok=True)
        gives(self.cache)

    def command(self, *words: str, before: str = "") -> list[str]:
        """Mounted for it alone; ``before`` stands in front of it in the shell."""
        mounts = [f"mount --bind {source} {self.program / name}" for name, source in _PLACES.items()]
        python = self.program / "python" / "bin" / f"python3.{sys.version_info.minor}"
        script = " && ".join([*mounts, f'exec {before} {python} -m apprproxy "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh", *words]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.program / 'checkout'}:{self.program / 'packages'}"
        return not_ours() | {"PYTHONPATH": path, "APPRPROXY_CACHE__DIRECTORY": str(self.cache)}

    def runs(self, *words: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, before=before),
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def owners(self) -> set[int]:
        """Of all that is in the cache."""
        return {path.lstat().st_uid for path in (self.cache, *self.cache.rglob("*"))}


def gives(tree: Path) -> None:
    """All of it to nobody."""
    for path in (tree, *tree.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@contextmanager
def installed() -> Iterator[Installed]:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("only root can become somebody else, and mount what that user may read")
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Installed(Path(folder))
