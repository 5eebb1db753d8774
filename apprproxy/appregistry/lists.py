"""The lists of all members as one answer: packages, and the names of those that match a search.

A member that failed and has nothing stale is named in ``Apprproxy-Partial``: clients take a missing package for a
deleted one, so that nothing is ever left out silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from apprproxy.appregistry.merge import merged_packages
from apprproxy.core.errors import Exhausted, Failure, NotOffered, NotThere, UpstreamFault
from apprproxy.core.model import Cache, Verdict
from apprproxy.gateway.gateway import Answer


@dataclass(frozen=True, slots=True)
class Merged:
    """``missing`` are the members that could not say what they have."""

    packages: list[Mapping[str, Any]]
    verdict: Verdict
    upstreams: str
    missing: tuple[str, ...]

    @property
    def partial(self) -> dict[str, str]:
        return {"Apprproxy-Partial": ", ".join(self.missing)} if self.missing else {}


async def merged(answers: list[Answer]) -> Merged:
    """Raises the failure where no member could answer."""
    had = [(answer.member, answer.named) for answer in answers if answer.named is not None]
    missing = tuple(answer.member for answer in answers if not _said(answer))
    if missing and not had:
        raise _together(answers)
    lists = [orjson.loads(await named.document.read()) for _, named in had]
    verdict = _together_verdict([named.verdict for _, named in had])
    return Merged(merged_packages(lists), verdict, ", ".join(member for member, _ in had), missing)


def _said(answer: Answer) -> bool:
    """Did this member say what it has, be it that it has no list at all?"""
    return answer.named is not None or isinstance(answer.failure, (NotThere, NotOffered))


def _together(answers: list[Answer]) -> Failure:
    failures = [answer.failure for answer in answers if answer.failure is not None]
    faults = [failure for failure in failures if isinstance(failure, UpstreamFault)]
    return Exhausted(faults) if len(faults) == len(failures) else failures[0]


def _together_verdict(verdicts: list[Verdict]) -> Verdict:
    """A merged answer is as fresh as its oldest part."""
    worst = (Cache.HIT, Cache.REVALIDATED, Cache.COLLAPSED, Cache.MISS, Cache.STALE)
    chosen = max(verdicts, key=lambda verdict: worst.index(verdict.cache), default=Verdict(Cache.MISS))
    ages = [verdict.age for verdict in verdicts if verdict.age is not None]
    return Verdict(
        chosen.cache,
        age=max(ages, default=None),
        ttl=chosen.ttl,
        status=chosen.status,
        detail=chosen.detail,
        stored=chosen.stored,
    )
