"""What arriving bytes ask of the cap before they are written, and what they tell it when they stay or go."""

from typing import Protocol

from apprproxy.core.digest import Digest


class Cap(Protocol):
    """Blocking; shared by all processes of a cache. ``part`` is the name of a file in ``ingest/``."""

    def reserve(self, part: str, total: int, due: int | None = None) -> None:
        """The file may grow to so many bytes in all; raises NoRoom, also where what is ``due`` in the end has none."""
        ...

    def counted(self, digest: Digest) -> int | None:
        """The size with which this blob was kept; None where that is not known."""
        ...

    def keep(self, part: str, digest: Digest, size: int, unpacked: Digest | None) -> None:
        """The file is about to become this blob."""
        ...

    def shrink(self, part: str, total: int) -> None:
        """The file has so many bytes, and stays for whoever continues it."""
        ...

    def release(self, part: str) -> None:
        """The file is gone."""
        ...

    def relieve(self, written: int, *, files: bool) -> None:
        """The disk is full although the cap is not reached, of bytes or of ``files``, and so many bytes were written of
        what is on its way: something goes, unless that was of no use before."""
        ...
