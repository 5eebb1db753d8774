"""One upstream as the gateway deals with it: a place to ask, how to speak to it, and on which terms."""

from collections.abc import Callable
from dataclasses import dataclass

from apprproxy.core.model import Found, Terms
from apprproxy.core.ports import Dialect, Plan, Upstream


@dataclass(frozen=True, slots=True)
class Member:
    upstream: Upstream
    dialect: Dialect
    terms: Terms

    @property
    def name(self) -> str:
        return self.upstream.name


Members = Callable[[str], Member]


async def ask(upstream: Upstream, plan: Plan[Found]) -> Found:
    """Carry out a plan's requests until it returns; raises UpstreamFault."""
    try:
        request = next(plan)
        while True:
            request = plan.send(await upstream.send(request))
    except StopIteration as end:
        found: Found = end.value
        return found
    finally:
        plan.close()
