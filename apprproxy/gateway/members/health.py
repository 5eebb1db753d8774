"""Whether one source is asked now. Pure: what became of each request and the time in, a decision out; no ``await``.

- Trouble (no answer in time, a line that breaks, a status that says so) shuts a source for a while, longer each time;
  then one request is let through as a probe, and the others once that one has been answered.
- Trouble that a source has while it can be reached may be that of one repository, of one filter of a list, or of
  writes to one repository, which any client may ask for as often as it likes: it shuts that one. What came too late
  counts against the source as well, once for each repository, for a list and for writes, until something succeeds; a
  status does not, since it came, and names below what is broken can be made up without end. A write that is not
  answered counts as one that came too late, however it ended.
- A repository that has answered lately is asked all the same, until it fails itself: of names that nobody has heard of
  a client can make up as many as it likes.
- Who says how long to be left alone (429) is left alone so long, a minute at most, about that repository: about its
  documents or its blobs.
- Requests that were under way when a source was shut tell nothing new: ten that fail together are one failure.
- A lie distrusts a mirror for much longer. An owner is never distrusted: there is nobody else to ask for its names.
- What was shut at a time that has not come yet is open: a clock that is set back shuts nobody out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from apprproxy.core.errors import Shut
from apprproxy.core.events import Observer, SourceOpened, SourceShut
from apprproxy.core.label import Label
from apprproxy.core.model import Clock

T = TypeVar("T")

PROBING = 1.0
"""Seconds after which to come back while a probe is under way: how long it will take nobody knows."""

MAX_SPOTS = 1000
"""Repositories with trouble that are remembered at once, and as many without."""

PROBED_BY = 0.9
"""Seconds that a client waits for a probe, its own included, before it is told to come back."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds, ``first`` doubled every time, ``longest`` at most."""

    first: float
    longest: float

    def after(self, times: int) -> float:
        """``times`` counts from 1. The exponent is bounded because a float is."""
        return min(self.first * 2.0 ** min(times - 1, 64), self.longest)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``failures`` consecutive troubles shut the source; ``away`` are statuses that are trouble; ``distrust`` None for
    one that is never distrusted. ``apart``: trouble with one repository is not yet that of all."""

    failures: int
    penalty: Wait
    away: Collection[int]
    distrust: Wait | None = None
    apart: bool = False


FOR_OWNERS = Tolerance(3, Wait(1.0, 60.0), away={502, 503, 504}, apart=True)
"""Patient, and soon back: without its owner a cold name fails. A 500 may be about one name only, such as a catalog."""
FOR_MIRRORS = Tolerance(1, Wait(2.0, 300.0), away={429, *range(500, 600)}, distrust=Wait(3600.0, 7 * 86400.0))
"""Quickly passed over: the owner can be asked instead."""


@dataclass(frozen=True, slots=True)
class Closure:
    """Not asked for ``seconds`` after ``since``, because of ``reason``. ``reached``: it has trouble with some
    repositories, each of which has a probe of its own; else one tells of all."""

    since: float
    seconds: float
    reason: str
    reached: bool = False

    def left(self, now: float) -> float:
        return self.seconds - (now - self.since)


@dataclass(slots=True)
class Spot:
    """A repository, or a list, of a source that has trouble with it."""

    troubles: int = 0
    penalty: Closure | None = None


class Health:
    """Of one source. Says SourceShut and SourceOpened when that changes, not at every request."""

    def __init__(self, label: Label, tolerance: Tolerance, now: Clock, observer: Observer) -> None:
        self._label = label
        self._tolerance = tolerance
        self._now = now
        self._observer = observer
        self._troubles = 0
        self._lies = 0
        self._penalty: Closure | None = None
        self._distrust: Closure | None = None
        self._shut_at = 0.0
        self._good: dict[str, None] = {}
        self._probes: dict[str, Attempt] = {}
        self._spots: dict[str, Spot] = {}
        self._counted: dict[str, None] = {}
        self._resting: dict[str, Closure] = {}

    def admit(self, about: str = "", sort: str = "") -> "Attempt":
        """Let a request of a sort about a repository, or a list, through. The attempt is to be told what comes of it.
        Raises Shut."""
        attempt = Attempt(self, about, sort)
        self._refuse_resting(attempt.rested)
        closure = self._shut(about)
        if closure is None:
            return attempt
        if (left := closure.left(self._now())) > 0:
            raise Shut(self._label.name, closure.reason, max(left, 1.0))
        probed = about if closure.reached else ""
        if probed in self._probes:
            raise self.probing(about)
        self._probes[probed] = attempt
        return attempt

    def _refuse_resting(self, rested: str) -> None:
        rest = _begun(self._resting.get(rested), self._now())
        if rest is not None and (left := rest.left(self._now())) > 0:
            raise Shut(self._label.name, rest.reason, max(left, 1.0))

    def _shut(self, about: str) -> Closure | None:
        closure = self._closure(about)
        return None if closure is not None and closure.reached and self._is_good(about) else closure

    def _is_good(self, about: str) -> bool:
        spot = self._spots.get(about)
        return about in self._good and (spot is None or spot.penalty is None)

    @property
    def doubtful(self) -> bool:
        """It was shut, and has not answered since."""
        return self._closure() is not None

    def doubts(self, about: str) -> bool:
        """It was shut, or this was, and has not answered since: one request looks whether it is back."""
        return self._shut(about) is not None

    def probing(self, about: str = "") -> Shut:
        """What is told to those who do not wait for the probe."""
        closure = self._closure(about)
        because = f"; {closure.reason}" if closure is not None else ""
        return Shut(self._label.name, f"one request looks whether it is back{because}", PROBING)

    def lied(self) -> None:
        """Bytes or a length that were provably wrong. Lies within one time of distrust are one."""
        rule, now = self._tolerance.distrust, self._now()
        self._forget_what_is_to_come()
        if rule is None or (self._distrust is not None and self._distrust.left(now) > 0):
            return
        self._lies += 1
        self._distrust = Closure(now, rule.after(self._lies), "it sent something wrong")
        self._tell(self._distrust, lied=True)

    def is_away(self, status: int | None) -> bool:
        """Does such an answer say that nobody is there, or has time?"""
        return status in self._tolerance.away

    # --- what attempts tell

    def trouble(self, reason: str, about: str | None = None, *, said: bool = False) -> None:
        """``about`` None where it cannot be reached at all; ``said`` where it is a status that says so."""
        now, was_shut = self._now(), self._closure() is not None
        about = about if self._tolerance.apart else None
        if about is not None and (not self._noted(about, reason, now) or said or not self._counts(about)):
            return
        if self._penalty is not None and self._penalty.left(now) > 0:
            return
        self._troubles += 1
        over = self._troubles - self._tolerance.failures + 1
        if over < 1:
            return
        self._penalty = Closure(now, self._tolerance.penalty.after(over), reason, reached=about is not None)
        if not was_shut:
            self._tell(self._penalty)

    def _noted(self, about: str, reason: str, now: float) -> bool:
        """Of the repository; False where that is shut already."""
        spot = self._spots.get(about, Spot())
        _remember(self._spots, about, spot)
        if spot.penalty is not None and spot.penalty.left(now) > 0:
            return False
        spot.troubles += 1
        shut = self._penalty is not None and self._penalty.reached
        over = max(spot.troubles - self._tolerance.failures + 1, int(shut))
        if over >= 1:
            spot.penalty = Closure(now, self._tolerance.penalty.after(over), reason, reached=True)
        return True

    def _counts(self, about: str) -> bool:
        """Against the source too: once for each repository, for a list by whatever filters, and for writes of whatever,
        where nothing has succeeded since."""
        about = about.partition("?")[0]
        counted = about in self._counted
        _remember(self._counted, about, None)
        return not counted

    def rest(self, rested: str, reason: str, seconds: float) -> None:
        """It answers, and wants to be left alone about this for so long; no longer than the longest penalty, and about
        nothing else: of which names it says so whoever asks for them may choose, and some count documents only."""
        if seconds >= 1.0:
            closure = Closure(self._now(), min(seconds, self._tolerance.penalty.longest), reason, reached=True)
            _remember(self._resting, rested, closure)

    def answered(self, about: str = "") -> None:
        """It lives: others may ask too. An answer does not end a distrust before its time."""
        was_shut, self._penalty = self._closure() is not None, None
        if (spot := self._spots.get(about)) is not None:
            spot.penalty = None
        if self._distrust is not None and self._distrust.left(self._now()) <= 0:
            self._distrust = None
        if was_shut and self._closure() is None:
            self._tell_open()

    def finished(self, about: str = "") -> None:
        """A whole answer, so that the next trouble is the first again."""
        self._troubles = 0
        self._counted.clear()
        self._spots.pop(about, None)
        _remember(self._good, about, None)

    def ended(self, attempt: "Attempt") -> None:
        """However it ended: if it was the probe, the next one may be."""
        for probed in ("", attempt.about):
            if self._probes.get(probed) is attempt:
                del self._probes[probed]

    def _closure(self, about: str | None = None) -> Closure | None:
        """The one that lasts longest, where there are several; with that of a repository where one is named."""
        self._forget_what_is_to_come()
        closures = self._closures()
        if about is not None and (spot := self._spots.get(about)) is not None:
            spot.penalty = _begun(spot.penalty, self._now())
            closures += [spot.penalty] if spot.penalty is not None else []
        return max(closures, key=lambda one: one.left(self._now()), default=None)

    def _closures(self) -> list[Closure]:
        return [one for one in (self._penalty, self._distrust) if one is not None]

    def _forget_what_is_to_come(self) -> None:
        """The clock was set back."""
        now, shut = self._now(), bool(self._closures())
        self._penalty, self._distrust = _begun(self._penalty, now), _begun(self._distrust, now)
        if shut and not self._closures():
            self._tell_open()

    def _tell_open(self) -> None:
        after = max(0.0, self._now() - self._shut_at)  # the clock may have been set back
        self._observer(SourceOpened(self._label.upstream, self._label.source, after))

    def _tell(self, closure: Closure, *, lied: bool = False) -> None:
        self._shut_at = closure.since
        upstream, source, partly = self._label.upstream, self._label.source, closure.reached
        self._observer(SourceShut(upstream, source, closure.seconds, closure.reason, lied, partly))


def _remember(known: dict[str, T], about: str, value: T) -> None:
    """The last ones of them."""
    known.pop(about, None)
    known[about] = value
    if len(known) > MAX_SPOTS:
        del known[next(iter(known))]


def _begun(closure: Closure | None, now: float) -> Closure | None:
    return closure if closure is not None and closure.since <= now else None


class Attempt:
    """One request that was let through. ``ended`` must be called, whatever happened."""

    def __init__(self, health: Health, about: str, sort: str) -> None:
        self.about = about
        self.rested = f"{sort} {about}"
        self._health = health
        self._troubled = False
        self.judged = False

    def answered(self) -> None:
        """Its headers came in time, and do not say that it is away; its body may still break."""
        self.judged = True
        self._health.answered(self.about)
        self._health.ended(self)

    def troubled(self, reason: str, *, reached: bool = False) -> None:
        """No headers in time, or a body that broke off. Counts once. ``reached``: there was a connection."""
        self.judged = True
        if not self._troubled:
            self._troubled = True
            self._health.trouble(reason, self.about if reached else None)

    def away(self, reason: str) -> None:
        """Its headers came, and say that it is away."""
        self.judged = self._troubled = True
        self._health.trouble(reason, self.about, said=True)

    def rests(self, reason: str, seconds: float) -> None:
        """It says that we ask too often. Told last."""
        self._health.rest(self.rested, reason, seconds)

    def finished(self) -> None:
        """Read as far as its caller wished, and nothing broke."""
        if not self._troubled:
            self._health.finished(self.about)

    def ended(self) -> None:
        self._health.ended(self)
