"""Who is told how far long work has come."""

from typing import Protocol


class Told(Protocol):
    """May be called by any thread."""

    def __call__(self, count: int, /) -> None:
        """So many more are done: bytes or blobs, as the work says."""
        ...

    def expect(self, total: int) -> None:
        """So many there are in all, as far as is known now."""
        ...


class _Unheard:
    def __call__(self, count: int, /) -> None: ...

    def expect(self, total: int) -> None: ...


unheard: Told = _Unheard()
"""For work that is a part of other work."""
