"""Who a source is, in metrics and in sentences: the owner of an upstream's names, or one of its mirrors."""

from dataclasses import dataclass

OWNER = "owner"

CLAIMED = "claimed"
"""No source: its owner says that it has the bytes, and has not sent them."""


@dataclass(frozen=True, slots=True)
class Label:
    """``source`` is ``owner``, or ``mirror-1``, ``mirror-2`` … in configured order: a closed set. Empty, of which
    metrics never hear: several of them together, or it is not known which."""

    upstream: str
    source: str = OWNER

    @property
    def name(self) -> str:
        """As failures say it."""
        return self.upstream if self.source in (OWNER, "") else f"{self.upstream} {self.source}"


def source_of(upstream: str, name: str) -> str | None:
    """Which source of that upstream failures name so; None for anything else that is waited for."""
    first, _, source = name.partition(" ")
    if first != upstream or not (name == upstream or source.startswith("mirror-")):
        return None
    return source or OWNER


def whose(name: str) -> str:
    """The upstream of a source that failures name so."""
    return name.partition(" ")[0]


def mirror(upstream: str, number: int) -> Label:
    """``number`` counts from 1."""
    return Label(upstream, f"mirror-{number}")
