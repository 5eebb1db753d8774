"""A cap that is never reached."""

from apprproxy.core.digest import Digest


class Boundless:
    """Implements Cap."""

    def reserve(self, part: str, total: int, due: int | None = None) -> None:
        pass

    def counted(self, digest: Digest) -> int | None:
        return None

    def keep(self, part: str, digest: Digest, size: int, unpacked: Digest | None) -> None:
        pass

    def shrink(self, part: str, total: int) -> None:
        pass

    def release(self, part: str) -> None:
        pass

    def relieve(self, written: int, *, files: bool) -> None:
        pass
