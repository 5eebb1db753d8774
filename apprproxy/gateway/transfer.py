"""Bytes on their way to one client: held, growing, passed by, or a part of them; all are taken in the same way.

``pieces`` yields what may leave: stretches of something that can be read, or bytes. Nothing that has been yielded is
taken back; if what follows cannot be right, it raises, and the connection is to be broken.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.model import Verdict
from apprproxy.core.ports.store import Held, Readable
from apprproxy.gateway.diary import Tried


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes from ``start`` up to, and not including, ``stop`` may leave."""

    readable: Readable
    start: int
    stop: int


Pieces = AsyncGenerator[Stretch | bytes, None]


class Transfer(Protocol):
    """``close`` it. ``origin`` is the upstream in whose name it is answered; ``size`` that of the whole; ``tried`` is
    whom it waited for, as far as that is known now."""

    verdict: Verdict
    origin: str

    @property
    def tried(self) -> Sequence[Tried]: ...

    @property
    def size(self) -> int: ...

    async def held(self) -> Held:
        """The verified bytes, however long that takes; raises what ``Gateway.blob`` raises."""
        ...

    def pieces(self, start: int, stop: int) -> Pieces:
        """That part, in order and without a gap; raises a Failure where it cannot be completed rightly."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Brought:
    """Verified bytes. ``kept``: the disk took them; ``tried`` as of a transfer."""

    held: Held
    kept: bool
    tried: Sequence[Tried] = ()


class HeldTransfer:
    """All is there already."""

    def __init__(self, verdict: Verdict, origin: str, held: Held, tried: Sequence[Tried] = ()) -> None:
        self.verdict = verdict
        self.origin = origin
        self.size = held.size
        self.tried = tried
        self._held = held

    async def held(self) -> Held:
        return self._held

    async def pieces(self, start: int, stop: int) -> Pieces:
        yield Stretch(self._held, start, stop)

    async def close(self) -> None:
        """Nothing is open but what goes with the last reference."""
