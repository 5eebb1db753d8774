"""What goes on happening, and is no trouble that ends: told once, then now and again with how much it was. Pure."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Untold:
    """So often since ``since``; ``told`` is when there was a line of it."""

    told: float
    since: float
    times: int = 0
    amounts: Counter[str] = field(default_factory=Counter)


class Repeats:
    """Of a closed set of things: each is remembered."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Untold] = {}

    def again(self, what: Hashable, now: float, every: float, amounts: Mapping[str, int]) -> Untold | None:
        """All of it since the last line, if it is worth another after ``every`` seconds; None if not."""
        one = self._known.setdefault(what, Untold(told=now - every, since=now))
        if not one.times:
            one.since = now
        one.times += 1
        one.amounts.update(amounts)
        if 0 <= now - one.told < every:
            return None
        self._known[what] = Untold(told=now, since=now)
        return one
