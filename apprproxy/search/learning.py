"""What the lists do not say of what was found: asked for behind the answer, one by one, at a bounded rate.

Whatever could not be asked now is asked when somebody finds it again: there is no backlog beyond ``WAITING``.
"""

import asyncio
import logging
from collections import deque

from cachetools import LRUCache

from apprproxy.core.errors import Failure
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Facts, Listed
from apprproxy.core.model import Clock, NameWant
from apprproxy.core.ports.store import Held
from apprproxy.core.reading import content
from apprproxy.core.threads import unhurried
from apprproxy.gateway.gateway import Gateway
from apprproxy.search.keeper import Keeper

log = logging.getLogger(__name__)

BURST = 30
"""Questions at once, and in each ``SPAN`` seconds after: a page of results, and no more than a person would click."""
SPAN = 60.0
WAITING = 200
ASKED = 20_000


class Allowance:
    """So many questions in ``SPAN``, saved up to ``BURST``. Pure but for the clock."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._left, self._at = float(BURST), now()

    def take(self) -> bool:
        now = self._now()
        self._left = min(float(BURST), self._left + abs(now - self._at) * BURST / SPAN)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Learning:
    """``close`` when done."""

    def __init__(self, gateway: Gateway, now: Clock) -> None:
        self._gateway = gateway
        self._now = now
        self._allowance = Allowance(now)
        self._waiting: deque[tuple[Keeper, str]] = deque(maxlen=WAITING)
        self._asked: LRUCache[tuple[str, str], float] = LRUCache(ASKED)
        self._task: asyncio.Task[None] | None = None

    def want(self, keeper: Keeper, thing: Listed) -> None:
        """More is to be known of this, if it was not asked for a while."""
        key = (keeper.searched.name, thing.name)
        before = self._asked.get(key)
        if before is not None and abs(self._now() - before) < keeper.interval:
            return
        if (keeper, thing.name) not in self._waiting:
            self._waiting.append((keeper, thing.name))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="search details")
            self._task.add_done_callback(self._ended)

    async def rest(self, patience: float) -> None:
        """Until nothing is waiting any more, or so many seconds are over."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)

    async def _work(self) -> None:
        while self._waiting:
            keeper, name = self._waiting.popleft()
            for kind in keeper.searched.lists.details:
                if not await self._learned(keeper, name, kind):
                    self._waiting.clear()
                    return
            self._asked[keeper.searched.name, name] = self._now()

    async def _learned(self, keeper: Keeper, name: str, kind: Kind) -> bool:
        """False where no more may be asked now."""
        want = NameWant(keeper.place, kind, name)
        try:
            if (held := await self._gateway.recall(want, fresh=True)) is None:
                if not self._allowance.take():
                    return False
                held = await self._gateway.lookup(want)
            facts = await unhurried(_facts, keeper, kind, held.document)
        except Failure:
            return True  # it may be asked again after a while, as everything
        keeper.learn(name, facts)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (crash := task.exception()) is not None:
            log.error("learning more of what was found crashed", exc_info=crash)

    async def close(self) -> None:
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _facts(keeper: Keeper, kind: Kind, document: Held) -> Facts:
    """Blocking."""
    return keeper.searched.lists.facts(kind, content(document))
