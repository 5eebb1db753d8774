"""What the search knows of each upstream, in a file of its own in the cache directory, so that a restart keeps it."""

from contextlib import suppress
from pathlib import Path

from apprproxy.core.model import MIB
from apprproxy.store.directory.whole import read_whole, write_whole

LARGEST = 128 * MIB
"""100,000 names of the longest kind, with what is known of them."""


class KeptLists:
    """``name`` is an upstream's, which the configuration has checked. Blocking; raises StoreFailed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, name: str) -> bytes | None:
        return read_whole(self._folder / f"{name}.json", LARGEST)

    def save(self, name: str, content: bytes) -> None:
        with suppress(OSError):  # told by the writing
            self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._folder / f"{name}.json", content)
