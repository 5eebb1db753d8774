"""One upstream as the gateway deals with it: a place to ask, how to speak to it, and on which terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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


MAX_TRAIL = 500
Members = Callable[[str], Member]


def trail(headers: Mapping[str, str]) -> str:
    """What caches on the way said of themselves (Cache-Status, RFC 9211), if it may be passed on."""
    text = headers.get("cache-status", "")
    return text if len(text) <= MAX_TRAIL and text.isascii() and text.isprintable() else ""


async def ask(upstream: Upstream, plan: Plan[Found]) -> Found:
    """Carry out a plan's requests until it returns; raises UpstreamFault."""
    before = ""
    try:
        request = next(plan)
        while True:
            reply = await upstream.send(request)
            before = trail(reply.headers)
            request = plan.send(reply)
    except StopIteration as end:
        found: Found = end.value
        return replace(found, before=before)
    finally:
        plan.close()
