"""What a client gets, by outage, by what is held and by what is asked for: the tests and the document share this table.

- A blob that is held, and a name that is fresh, are served without asking, whatever the outage.
- What is beyond ``stale_for`` is answered as if nothing were held, but for the exceptions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class State(StrEnum):
    """Of what is asked for, in the cache."""

    COLD = "cold"
    FRESH = "warm and fresh"
    EXPIRED = "warm and expired"
    BEYOND = "beyond stale_for"


class Thing(StrEnum):
    BLOB = "blob"
    TAG = "tag"
    RELEASE = "release"
    TAGS = "list of tags"
    PACKAGES = "list of packages"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``cache`` is Cache-Status less our name, empty for none; ``{said}`` is the upstream's own status, and ``{left}``
    the seconds of freshness that are left."""

    word: str
    status: int
    cache: str
    means: str
    asked: bool = True
    waits: bool = False

    def filled(self, said: str, left: str) -> "Outcome":
        return replace(self, cache=self.cache.format(said=f"; fwd-status={said}" if said else "", left=left))


HELD = Outcome(
    "held", 200, "hit", "A blob that is held never goes stale: its digest says that it is right.", asked=False
)
FRESH = Outcome("fresh", 200, "hit; ttl={left}", "The last answer, not older than `fresh_for`.", asked=False)
STALE = Outcome(
    "stale",
    200,
    "fwd=stale{said}; detail=stale-if-error",
    "The upstream was asked and failed, or is not asked for a while since it does: the last answer stands in.",
)
SLOW = Outcome(
    "stale, soon",
    200,
    "hit; ttl={left}; detail=upstream-slow",
    "The last answer, after `timeouts.revalidate`; the question to the upstream goes on behind it.",
)
KEPT = Outcome(
    "kept",
    200,
    "fwd=stale{said}; detail=gone-upstream",
    "The upstream says no, and its releases are kept (`gone: keep`): the last answer, however old. With `gone: follow`"
    " the client gets the upstream's own status.",
)
CONFIRMED = Outcome(
    "confirmed",
    200,
    "fwd=stale; fwd-status=200; stored",
    "The upstream confirmed it: the document is the one that is held.",
)
AGAIN = Outcome(
    "confirmed anew",
    200,
    "fwd=uri-miss; stored",
    "Too old to stand in, and confirmed: the document is the one that is held.",
)
NO = Outcome("404", 404, "", "The upstream's own word that there is none, remembered for `missing_for`.")
DENIED = Outcome("403", 403, "", "The upstream's own word that it may not be had, remembered for `missing_for`.")
FAILED = Outcome("502", 502, "", "The upstream failed; the message says which one and how.")
LATER = Outcome("503", 503, "", "The upstream wants to be left alone, and did not say for how long.")
WAIT = Outcome("503, wait", 503, "", "The same; `Retry-After` is what the upstream said, or a second more.", waits=True)
TOO_SLOW = Outcome("504", 504, "", "The upstream did not answer in its time (`timeouts`).")

OUTCOMES = (HELD, FRESH, STALE, SLOW, KEPT, CONFIRMED, AGAIN, NO, DENIED, FAILED, LATER, WAIT, TOO_SLOW)

LEFT = {State.COLD: 0, State.FRESH: 30, State.EXPIRED: -1, State.BEYOND: -3601}
"""Seconds of freshness left when a name is asked for; ``stale_for`` is an hour."""

_Exceptions = Mapping[tuple[State, Thing], Outcome]


@dataclass(frozen=True, slots=True)
class Row:
    """``nothing`` is for what is not held, or beyond ``stale_for``; ``stale`` for a name that has expired.

    ``said`` is the upstream's HTTP status, where it got to say one. ``alarm`` is for outages that somebody must end.
    """

    outage: str
    nothing: Outcome
    stale: Outcome
    sentence: str
    said: int | None = None
    but: _Exceptions = field(default_factory=dict)
    alarm: bool = False

    def expected(self, state: State, thing: Thing) -> Outcome:
        return self._outcome(state, thing).filled(str(self.said or ""), str(LEFT[state]))

    def _outcome(self, state: State, thing: Thing) -> Outcome:
        if state is not State.COLD and thing is Thing.BLOB:
            return HELD
        if state is State.FRESH:
            return FRESH
        return self.but.get((state, thing), self.stale if state is State.EXPIRED else self.nothing)


_TAG_BY_HEAD = {(State.EXPIRED, Thing.TAG): CONFIRMED, (State.BEYOND, Thing.TAG): AGAIN}
_RELEASES_STAY = {(State.EXPIRED, Thing.RELEASE): KEPT, (State.BEYOND, Thing.RELEASE): KEPT}
_A_LIST_IS_NEVER_GONE = {(State.EXPIRED, Thing.PACKAGES): STALE, (State.BEYOND, Thing.PACKAGES): FAILED}
_SAID_NO = _RELEASES_STAY | _A_LIST_IS_NEVER_GONE

TABLE = (
    Row("DNS failure", FAILED, STALE, "The host name of `url` cannot be resolved."),
    Row("refused", FAILED, STALE, "Nobody listens there: connections are refused."),
    Row("blackhole", TOO_SLOW, SLOW, "Packets vanish: no connection within `timeouts.connect`."),
    Row("TLS failure", FAILED, STALE, "Its certificate is not one that we trust."),
    Row("slow headers", TOO_SLOW, SLOW, "It takes the request and says nothing."),
    Row("slow body", TOO_SLOW, SLOW, "Headers come and the body does not. A tag needs no body.", but=_TAG_BY_HEAD),
    Row("token end point down", FAILED, STALE, "It wants a token, and whoever gives them is away."),
    Row("401 without our credential", FAILED, STALE, "It wants a credential, and `auth` gives none.", said=401),
    Row(
        "401 with our credential",
        FAILED,
        STALE,
        "It refuses the credential of `auth`, which `apprproxy_credential_failures_total` counts: put it right.",
        said=401,
        alarm=True,
    ),
    Row("403", DENIED, DENIED, "It denies the thing, in words of the protocol.", said=403, but=_SAID_NO),
    Row("protocol 404", NO, NO, "It says that there is none, in words of the protocol.", said=404, but=_SAID_NO),
    Row("HTML 404", FAILED, STALE, "Some load balancer has a page for us: that is nobody's *no*.", said=404),
    Row("429 without Retry-After", LATER, STALE, "We ask too often.", said=429),
    Row("429 with Retry-After", WAIT, STALE, "We ask too often, and it says for how long.", said=429),
    Row("500", FAILED, STALE, "It has a defect.", said=500),
    Row("503", LATER, STALE, "It is overloaded, or being restarted.", said=503),
)


def cells() -> Iterator[tuple[Row, State, Thing]]:
    return ((row, state, thing) for row in TABLE for state in State for thing in Thing)
