"""Serve what is remembered, or ask? Pure: a record, the terms and the time in, a decision out.

- Ages are absolute differences: a record dated in the future (the clock was set back) grows old like any other.
- A client's ``no-cache`` asks, but not more often than once in ``AGAIN_AFTER`` for a name.
"""

from dataclasses import dataclass

from apprproxy.core.model import Cache, Record, Terms, Verdict

AGAIN_AFTER = 1.0
"""Seconds. A CI fleet that sends no-cache must not become a load test of the upstream."""


@dataclass(frozen=True, slots=True)
class Serve:
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Ask:
    """``may_serve`` says whether what is remembered may still be served if asking fails or takes long."""

    may_serve: bool


def decide(record: Record | None, terms: Terms, now: float, *, again: bool, offline: bool) -> Serve | Ask:
    if record is None:
        return Ask(may_serve=False)
    age = abs(now - record.checked)
    ttl = terms.fresh_for - age
    is_young = age < AGAIN_AFTER if again else ttl > 0
    if offline or (is_young and not record.doubtful):
        return Serve(Verdict(Cache.HIT, age=age, ttl=ttl))
    return Ask(may_serve=age < terms.fresh_for + terms.stale_for)


def stale(record: Record, terms: Terms, now: float, *, detail: str, status: int | None = None) -> Verdict:
    """The verdict on a remembered answer that stands in for one that could not be had; however young, a doubtful one is
    not fresh."""
    age = abs(now - record.checked)
    ttl = min(terms.fresh_for - age, 0.0) if record.doubtful else terms.fresh_for - age
    return Verdict(Cache.STALE, age=age, ttl=ttl, status=status, detail=detail)
