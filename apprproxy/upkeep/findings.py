"""What can be wrong with a cache, in an operator's words."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from apprproxy.store.index.membership import Origin


class Fault(StrEnum):
    WRONG = "wrong bytes"
    UNREADABLE = "unreadable"
    STRAY = "no blob"
    LINK = "wrong link"
    LOST = "lost"
    UNCOUNTED = "uncounted"
    MISCOUNTED = "miscounted"
    DANGLING = "dangling link"
    UNLINKED = "lost link"
    BEFORE = "found before"


_MENDED = {Fault.UNCOUNTED, Fault.MISCOUNTED, Fault.DANGLING, Fault.UNLINKED, Fault.STRAY}
"""Nothing is missing once these were told: what was right is counted, what was nothing is out of the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``key`` is of the index, or the name of a file. ``origins`` are the repositories that showed it, ``names`` those
    that pointed at it as ``(upstream, key)``; ``document`` says that it named others."""

    fault: Fault
    key: str
    sentence: str
    aside: Path | None = None
    origins: tuple[Origin, ...] = ()
    names: tuple[tuple[str, str], ...] = field(default=())
    document: bool = False

    @property
    def mended(self) -> bool:
        return self.fault in _MENDED
