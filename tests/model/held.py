"""What a cache directory shows, looked at from outside: every visible file is hashed, everything in it is counted."""

import hashlib
from contextlib import suppress
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from apprproxy.store.blobs.partial import part_name


class Directory:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._right: set[tuple[int, int, int]] = set()

    def blobs(self) -> dict[str, int]:
        """Digests of what is visible, with sizes; raises AssertionError where a file is not what its name says."""
        found = {}
        for path in (self.root / "blobs").glob("sha256/*"):
            try:
                facts = path.stat()
                same = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                if same not in self._right:
                    with path.open("rb") as file:
                        got = hashlib.file_digest(file, "sha256").hexdigest()
                    assert path.name == got
                    self._right.add(same)
            except FileNotFoundError:
                continue  # evicted meanwhile
            found[f"sha256:{path.name}"] = facts.st_size
        return found

    def partials(self) -> dict[str, int]:
        """What is on its way in, by file name."""
        found = {}
        for path in (self.root / "ingest").glob("*.part"):
            with suppress(FileNotFoundError):  # committed meanwhile
                found[path.name] = path.stat().st_size
        return found

    def partial(self, digest: str) -> int:
        return self.partials().get(part_name(Expected(Digest.parse(digest))), 0)

    def used(self) -> int:
        """Bytes in all; what moves from the one place to the other meanwhile is counted once or not at all."""
        visible = 0
        for path in (self.root / "blobs").glob("sha256/*"):
            with suppress(FileNotFoundError):  # evicted meanwhile
                visible += path.stat().st_size
        return visible + sum(self.partials().values())

    def spoil(self, path: Path) -> None:
        """One bit of the middle, as a disk does."""
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
