"""The answers of all members summed up: who said what, how fresh it is together, and who could not be asked.

A member that failed and has nothing stale is named in ``Apprproxy-Partial``: clients take a missing package for a
deleted one, so that nothing is ever left out silently.
"""

from dataclasses import dataclass

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Failure, NotOffered, NotThere, UpstreamFault
from apprproxy.core.model import Cache, Verdict
from apprproxy.core.reading import content
from apprproxy.gateway.names.lookup import Named
from apprproxy.gateway.names.views import Answer


@dataclass(frozen=True, slots=True)
class Surveyed:
    """``said`` are the members that have something, in the view's order; ``missing`` those that could not say."""

    said: tuple[tuple[str, Named], ...]
    missing: tuple[str, ...]

    @property
    def upstreams(self) -> str:
        return ", ".join(member for member, _ in self.said)

    @property
    def partial(self) -> dict[str, str]:
        return {"Apprproxy-Partial": ", ".join(self.missing)} if self.missing else {}

    @property
    def verdict(self) -> Verdict:
        """A merged answer is as fresh as its oldest part."""
        verdicts = [named.verdict for _, named in self.said]
        worst = (Cache.HIT, Cache.REVALIDATED, Cache.COLLAPSED, Cache.MISS, Cache.STALE)
        chosen = max(verdicts, key=lambda verdict: worst.index(verdict.cache), default=Verdict(Cache.MISS))
        ages = [verdict.age for verdict in verdicts if verdict.age is not None]
        return Verdict(chosen.cache, max(ages, default=None), chosen.ttl, chosen.status, chosen.detail, chosen.stored)

    @property
    def key(self) -> tuple[tuple[str, Digest], ...]:
        """The same where everybody said the same."""
        return tuple((member, named.document.digest) for member, named in self.said)

    @property
    def size(self) -> int:
        return sum(named.document.size for _, named in self.said)

    def contents(self) -> list[tuple[str, bytes]]:
        """What each sent. Blocking."""
        return [(member, content(named.document)) for member, named in self.said]


def sum_up(answers: list[Answer]) -> Surveyed:
    """Raises where no member has anything: a *no* of everybody's is told, and is not an empty list."""
    said = tuple((answer.member, answer.named) for answer in answers if answer.named is not None)
    missing = tuple(answer.member for answer in answers if not _answered(answer))
    if not said:
        raise _together(answers)
    return Surveyed(said, missing)


def _answered(answer: Answer) -> bool:
    """Did this member say what it has, be it that it has no list at all? One that refuses us its list has not."""
    match answer.failure:
        case NotThere() as no:
            return no.passes_on
        case NotOffered():
            return True
        case _:
            return answer.named is not None


def _together(answers: list[Answer]) -> Failure:
    failures = [answer.failure for answer in answers if answer.failure is not None]
    faults = [failure for failure in failures if isinstance(failure, UpstreamFault)]
    return Exhausted(faults) if len(faults) == len(failures) else failures[0]
