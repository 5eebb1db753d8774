"""A cap that is never reached."""

from apprproxy.core.digest import Digest


class Boundless:
    """Implements Cap. ``asked`` is what it was asked and told, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None]] = []

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.asked]

    def reserve(self, part: str, total: int, due: int | None = None) -> None:
        self.asked.append(("reserve", due))

    def counted(self, digest: Digest) -> int | None:
        return None

    def keep(self, part: str, digest: Digest, size: int, unpacked: Digest | None) -> None:
        self.asked.append(("keep", size))

    def shrink(self, part: str, total: int) -> None:
        self.asked.append(("shrink", total))

    def release(self, part: str) -> None:
        self.asked.append(("release", None))

    def relieve(self, written: int, *, files: bool) -> None:
        self.asked.append(("relieve", written))
