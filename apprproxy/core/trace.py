"""Where bytes came from and what was refused on the way, as it is told to whoever may have them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected, Where

CONFIRMED = "confirmed"
"""In place of a source: the bytes were here already, and the owner said that it has them there."""


@dataclass(frozen=True, slots=True)
class Came:
    """``source`` is ``owner``, ``mirror-1`` … or CONFIRMED; ``at`` is when it last did."""

    source: str
    at: float


@dataclass(frozen=True, slots=True)
class KeptBytes:
    """``verified`` is when they were found to be right, which is before they are visible."""

    digest: Digest
    size: int
    verified: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """``subject`` is the digest that was asked for, or the name that moved; ``source`` is whose word was not taken.
    ``got`` is None where it was no other digest, but a length or the like that was wrong: ``reason`` says it."""

    upstream: str
    source: str
    subject: str
    expected: Digest
    got: Digest | None
    at: float
    reason: str = ""


class Traces(Protocol):
    async def sources(self, where: Where, expected: Expected) -> Sequence[Came]:
        """Of bytes that this repository may show, oldest first; nothing of any other repository."""
        ...

    async def kept(self, expected: Expected) -> KeptBytes | None: ...

    async def pinned(self, name: str, digest: Digest) -> bool:
        """Is the name pinned, or are the bytes kept because of another that is?"""
        ...

    def refused(self, upstream: str, subjects: Iterable[str]) -> Sequence[Refusal]:
        """Oldest first."""
        ...
