"""Trouble that repeats is told when it begins, counted while it lasts, and told once it is over. Pure.

A day's outage is thousands of requests, each of which has its own line in the log already: these lines are for whoever
asks what began when, and whether it goes on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

AGAIN = 60.0
"""Seconds between two lines of one trouble."""
QUIET = 10.0
"""Seconds without it, after which an answer says that it is over."""
MAX_EPISODES = 1000
MAX_REASONS = 20
"""Of an upstream that are told apart. Where it redirects to is in them, which may be somewhere else each time: it would
have a line for each request, and others' troubles would be forgotten for its own."""
_OTHERS = "other reasons"

_DETAIL = re.compile(r"[0-9a-f]{32,}|(?<!answered )(?<!\d)\d+(?:\.\d+)?")
"""What differs from one time to the next: digests, counts of bytes, seconds. A status does not: 429 is another trouble
than 503."""

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Episode:
    """``times`` since ``begun``. ``well`` is when the upstream answered first after the last of them; ``kind`` of the
    bytes that it was asked for, where it was: it may answer all else."""

    what: str
    upstream: str
    reason: str
    begun: float
    last: float
    told: float = -inf
    times: int = 0
    well: float | None = None
    kind: str = ""

    def within(self, seconds: float, now: float) -> bool:
        return 0 <= now - self.last < seconds


class Episodes:
    def __init__(self) -> None:
        self._open: dict[Key, Episode] = {}

    def again(self, what: str, upstream: str, reason: str, now: float, kind: str = "") -> tuple[int, float] | None:
        """Is it worth a line now? How often it has happened since it began, and when that was; None if not."""
        key = (what, upstream, _DETAIL.sub("#", reason), kind)
        if key not in self._open and sum(one.upstream == upstream for one in self._open.values()) >= MAX_REASONS:
            key, reason = (what, upstream, _OTHERS, kind), _OTHERS
        episode = self._open.setdefault(key, Episode(what, upstream, reason, now, now, kind=kind))
        if len(self._open) > MAX_EPISODES:
            del self._open[next(iter(self._open))]
        episode.last, episode.times, episode.well = now, episode.times + 1, None
        if 0 <= now - episode.told < AGAIN:
            return None
        episode.told = now
        return episode.times, episode.begun

    @property
    def open(self) -> list[Episode]:
        """What has not been found to be over."""
        return together(list(self._open.values()))

    def answered(self, upstream: str, now: float, came: str = "") -> list[Episode]:
        """It answers; ``came`` is the kind of the bytes that it sent. What is over, because it has not happened for a
        while; what came with it is told with it, unless that goes on."""
        mine = {
            key: one for key, one in list(self._open.items()) if one.upstream == upstream and one.kind in ("", came)
        }
        if not mine:
            return []
        for one in mine.values():
            one.well = now if one.well is None else one.well
        goes_on = {one.what for one in mine.values() if one.within(QUIET, now)}
        over = [key for key, one in mine.items() if not one.within(AGAIN if one.what in goes_on else QUIET, now)]
        return together(self._open.pop(key) for key in over)


def together(episodes: Iterable[Episode]) -> list[Episode]:
    """What went wrong for several reasons, as the one thing that it was."""
    found: dict[tuple[str, str, str], Episode] = {}
    for one in episodes:
        key = one.what, one.upstream, one.kind
        found[key] = _joined(found[key], one) if key in found else one
    return list(found.values())


def _joined(one: Episode, other: Episode) -> Episode:
    return replace(
        one,
        reason=f"{one.reason}; {other.reason}",
        begun=min(one.begun, other.begun),
        last=max(one.last, other.last),
        times=one.times + other.times,
        well=None if one.well is None or other.well is None else max(one.well, other.well),
    )
