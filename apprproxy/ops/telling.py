"""How often what goes on is a line of the log: at once the first time, then now and again with how much it was, and
once more when it is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any

from apprproxy.core.model import Clock
from apprproxy.core.repeats import Repeats, Untold
from apprproxy.ops.episodes import Episode, Episodes
from apprproxy.ops.logs import logger, stamp

MINUTE, HOUR = 60.0, 3600.0
"""Seconds between two lines: of what somebody looks for beside a request, and of what a full cache does all day."""

FEW = 10
"""Lines at once of what stands apart: one upstream may have thousands of names move."""

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What is told once in a while. Lines of the same thing have all of this in common."""

    level: str
    event: str
    of: Fields


class Telling:
    """``remind`` now and then, and ``end`` when done."""

    def __init__(self, now: Clock) -> None:
        self._log = logger("apprproxy")
        self._now = now
        self._episodes = Episodes()
        self._repeats: Repeats[Line] = Repeats()
        self._changes: Repeats[Fields] = Repeats()
        self._standing: dict[Fields, Line] = {}
        self._ended = -inf

    def line(self, level: str, event: str, **fields: Any) -> None:
        """Each time."""
        getattr(self._log, level)(event, **fields)

    def repeated(
        self,
        level: str,
        event: str,
        every: float,
        of: Mapping[str, str] = MappingProxyType({}),
        facts: Mapping[str, Any] = MappingProxyType({}),
        apart: str = "",
        **amounts: int,
    ) -> None:
        """At once the first time, also of a few that stand ``apart`` from one another; then so often with how much it
        was meanwhile. ``facts`` are those of the last."""
        line = Line(level, event, tuple(of.items()))
        untold = self._repeats.again(line, self._now(), every, facts, amounts, apart, FEW)
        if untold is not None:
            self._tell(line, untold, counted=untold.times > 1)

    def stands(self, level: str, event: str, of: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        """How it stands with ``of`` from now on. What flaps has a line a minute, with how often it has changed, and the
        last line says how it is."""
        thing = tuple(of.items())
        line = self._standing[thing] = Line(level, event, thing)
        untold = self._changes.again(thing, self._now(), MINUTE, facts, apart=event, few=FEW)
        if untold is not None:
            self._tell(line, untold, counted=untold.times > 1)

    def episode(self, level: str, event: str, why: str, kind: str = "", /, *, upstream: str, **fields: Any) -> None:
        """At once the first time, then with how often it has happened since then, until it is over (``answered``)."""
        worth = self._episodes.again(event, upstream, why, self._now(), kind)
        if worth is None:
            return
        times, since = worth
        more: dict[str, Any] = {"kind": kind} if kind else {}
        more |= {"times": times, "since": stamp(since)} if times > 1 else {}
        self.line(level, event, upstream=upstream, **fields, **more)

    def answered(self, upstream: str, came: str) -> None:
        """It answers, and ``came`` is the kind of the bytes that it sent."""
        for one in self._episodes.answered(upstream, self._now(), came):
            self._tell_end(one)

    def remind(self) -> None:
        """What has not been told for its time, though it has not happened again."""
        self._tell_untold(self._now())

    def end(self) -> None:
        """All that has not been told yet, and what is not over: whoever reads on has no more lines. Once more, what
        has happened since."""
        self._tell_untold(inf)
        before, self._ended = self._ended, self._now()
        for one in self._episodes.open:
            if one.last > before:
                self._tell_end(one)

    def _tell_end(self, one: Episode) -> None:
        of = {"upstream": one.upstream, "was": one.what, "reason": one.reason, "since": stamp(one.begun)}
        of |= {"kind": one.kind} if one.kind else {}
        if one.well is None:
            self._log.warning("trouble is not over", **of, last=stamp(one.last), times=one.times)
        else:
            self._log.info("upstream trouble is over", **of, until=stamp(one.well), times=one.times)

    def _tell_untold(self, now: float) -> None:
        for line, untold in self._repeats.due(now):
            self._tell(line, untold, counted=True)
        for thing, untold in self._changes.due(now):
            self._tell(self._standing[thing], untold, counted=True)

    def _tell(self, line: Line, untold: Untold, *, counted: bool) -> None:
        more = {"times": untold.times, "since": stamp(untold.since)} if counted else {}
        self.line(line.level, line.event, **dict(line.of), **untold.facts, **untold.amounts, **more)
