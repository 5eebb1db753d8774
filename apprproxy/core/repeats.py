"""What goes on happening, and is no trouble that ends: told once, then now and again with how much it was. Pure."""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Untold:
    """So often since ``since``, which is worth a line ``every`` so many seconds. ``told`` is when there was one for
    that, and ``apart`` what has had one since. ``last``, of the same, and ``facts`` are those of the last time."""

    told: float
    every: float
    since: float
    apart: set[Hashable] = field(default_factory=set)
    last: Hashable = None
    times: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    amounts: Counter[str] = field(default_factory=Counter)

    def due(self, now: float) -> bool:
        return self.times > 0 and not self.lately(now)

    def lately(self, now: float) -> bool:
        return 0 <= now - self.told < self.every


class Repeats(Generic[K]):
    """Of a closed set of things: each is remembered."""

    def __init__(self) -> None:
        self._known: dict[K, Untold] = {}

    def again(
        self,
        what: K,
        now: float,
        every: float,
        facts: Mapping[str, Any] = MappingProxyType({}),
        amounts: Mapping[str, int] = MappingProxyType({}),
        apart: Hashable = None,
        few: int = 1,
    ) -> Untold | None:
        """All of it since the last line, if it is worth another; None if not. What stands ``apart`` from all that had
        a line lately has one at once, as long as those are fewer than ``few``."""
        one = self._known.setdefault(what, Untold(told=-inf, every=every, since=now))
        if not one.times:
            one.since = now
        one.times, one.facts, one.last = one.times + 1, facts, apart
        one.amounts.update(amounts)
        new = apart not in one.apart and len(one.apart) < few
        return self._told(what, now) if one.due(now) or new else None

    def due(self, now: float) -> list[tuple[K, Untold]]:
        """What is worth a line by now although it has not happened again; at the end of time all that is untold."""
        return [(what, self._told(what, now)) for what, one in list(self._known.items()) if one.due(now)]

    def _told(self, what: K, now: float) -> Untold:
        one = self._known[what]
        told, apart = (one.told, one.apart) if one.lately(now) else (now, set())
        self._known[what] = Untold(told, one.every, since=now, apart={*apart, one.last})
        return one
