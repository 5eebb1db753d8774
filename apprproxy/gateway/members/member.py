"""One upstream as the gateway deals with it: a place to ask, how to speak to it, on which terms, and its mirrors."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from apprproxy.core.label import OWNER
from apprproxy.core.model import Found, Terms, Where
from apprproxy.core.ports.upstream import Dialect, Locked, Plan, Reply, Request, Speaks, Upstream
from apprproxy.gateway.members.desk import Desk
from apprproxy.gateway.members.health import Health
from apprproxy.gateway.members.pile import Overfull, Pile
from apprproxy.gateway.members.rules import Rules


@dataclass(frozen=True, slots=True)
class Source:
    """One place to get bytes from. ``label`` is ``owner``, ``mirror-1`` …; ``health`` is told of its lies."""

    label: str
    upstream: Upstream
    speaks: Speaks
    health: Health

    @property
    def owner(self) -> bool:
        return self.label == OWNER


@dataclass(frozen=True, slots=True)
class Member:
    """``identity`` changes with the place and the account behind the name: what one account may see, another may not.
    ``mirrors`` are for bytes by digest only. ``locked`` has its names, where those are not taken from itself.
    ``private`` says that we have an account there: what it opens, a mirror must not. ``connections`` is how many of
    each lane it may have."""

    upstream: Upstream
    dialect: Dialect
    terms: Terms
    health: Health
    identity: str
    rules: Rules
    mirrors: tuple[Source, ...] = ()
    locked: Locked | None = None
    private: bool = False
    connections: int = 32
    desk: Desk = field(default_factory=Desk, compare=False)

    @property
    def name(self) -> str:
        return self.upstream.name

    @property
    def sources(self) -> tuple[Source, ...]:
        """In the order in which they are asked: the mirrors, then the owner."""
        return (*self.mirrors, Source(OWNER, self.upstream, self.dialect, self.health))

    def where(self, repository: str) -> Where:
        """That repository, as what clients may see there is remembered."""
        return Where(self.identity, repository)


MAX_TRAIL = 500
Members = Callable[[str], Member]


def trail(headers: Mapping[str, str]) -> str:
    """What caches on the way said of themselves (Cache-Status, RFC 9211), if it may be passed on."""
    text = headers.get("cache-status", "")
    return text if len(text) <= MAX_TRAIL and text.isascii() and text.isprintable() else ""


async def ask(member: Member, plan: Plan[Found], pile: Pile) -> Found:
    """Carry out a plan's requests until it returns; raises UpstreamFault. Whoever waits for a connection until half of
    what is left of its time is over is told so, and so nothing is called late that had less than the other half."""
    loop = asyncio.get_running_loop()
    passed, due = "", loop.time() + member.terms.timeout
    step = _next(plan)
    while isinstance(step, Request):
        try:
            reply = await pile.add(member.upstream, replace(step, patience=(due - loop.time()) / 2))
        except Overfull:
            await pile.make_room()
            continue
        passed = trail(reply.headers)
        # by all that has come: a plan takes the pages of a list apart behind the last of them
        step = await member.desk.take_apart(pile.short, _next, plan, reply)
    return replace(step, trail=passed)


def _next(plan: Plan[Found], reply: Reply | None = None) -> Request | Found:
    """What it asks next, or what it has found."""
    try:
        return next(plan) if reply is None else plan.send(reply)
    except StopIteration as end:
        found: Found = end.value
        return found
