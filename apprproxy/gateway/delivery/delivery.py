"""When something may leave, and whose bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from apprproxy.core.model import MIB
from apprproxy.gateway.flights.candidates import Candidate

HEADERS_BY = 20.0
"""Seconds. Before a source has answered a failure may still become a status; but containerd gives up after 30 s."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rules for when something leaves. ``patience`` in seconds, ``max_blob`` and ``side_range`` in bytes; ``stream`` is
    whose bytes may leave before they are verified: ``owner``, ``any`` or ``never``."""

    patience: float = 10.0
    max_blob: int = 64 * 1024**3
    stream: str = "owner"
    side_range: int = 8 * MIB

    def streamable(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those whose bytes may leave before they are verified."""
        match self.stream:
            case "never":
                return []
            case "any":
                return list(candidates)
            case _:
                return [one for one in candidates if one.source.owner]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a blob: the bytes from ``start`` up to, and not including, ``stop``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start
