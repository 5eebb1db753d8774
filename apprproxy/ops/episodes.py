"""Trouble that repeats is told when it begins, counted while it lasts, and told once it is over. Pure.

A day's outage is thousands of requests, each of which has its own line in the log already: these lines are for whoever
asks what began when, and whether it goes on.
"""

import re
from dataclasses import dataclass

AGAIN = 60.0
"""Seconds between two lines of one trouble."""
QUIET = 10.0
"""Seconds without it, after which an answer says that it is over."""
MAX_EPISODES = 1000

_DETAIL = re.compile(r"[0-9a-f]{32,}|\d+(?:\.\d+)?")
"""What differs from one time to the next: digests, counts of bytes, seconds."""

Key = tuple[str, str, str]


@dataclass(slots=True)
class Episode:
    """``times`` since ``begun``; ``untold`` of them since the last line."""

    what: str
    upstream: str
    reason: str
    begun: float
    last: float
    told: float
    times: int = 0
    untold: int = 0


class Episodes:
    def __init__(self) -> None:
        self._open: dict[Key, Episode] = {}

    def again(self, what: str, upstream: str, reason: str, now: float) -> tuple[int, float] | None:
        """Is it worth a line now? How often it happened since the last one, and when it began; None if not."""
        key = (what, upstream, _DETAIL.sub("#", reason))
        episode = self._open.setdefault(key, Episode(what, upstream, reason, begun=now, last=now, told=-AGAIN))
        if len(self._open) > MAX_EPISODES:
            del self._open[next(iter(self._open))]
        episode.last, episode.times, episode.untold = now, episode.times + 1, episode.untold + 1
        if episode.times > 1 and 0 <= now - episode.told < AGAIN:
            return None
        told, episode.told, episode.untold = episode.untold, now, 0
        return told, episode.begun

    @property
    def open(self) -> list[Episode]:
        """What is not over, as far as anybody has asked."""
        return list(self._open.values())

    def answered(self, upstream: str, now: float) -> list[Episode]:
        """It answers: what is over, because it has not happened for a while."""
        over = [key for key, one in self._open.items() if one.upstream == upstream and not 0 <= now - one.last < QUIET]
        return [self._open.pop(key) for key in over]
