"""What the lists do not say of what was found: asked for behind the answer, of each upstream one by one, at a bounded
rate.

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
"""Questions at once, and in each ``SPAN`` seconds after: a page of results, and no more than a person would click. They
are each upstream's own, so that none uses up what others have, or keeps their questions waiting for its answers."""
SPAN = 60.0
WAITING = 200
"""Names, and how many are remembered of those that were asked for; of each upstream."""
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
        self._queues: dict[str, _Queue] = {}

    def want(self, keeper: Keeper, thing: Listed) -> None:
        """More is to be known of this, if it was not asked for a while."""
        upstream = keeper.searched.name
        if upstream not in self._queues:
            self._queues[upstream] = _Queue(keeper, self._gateway, self._now)
        self._queues[upstream].want(thing.name)

    async def rest(self, patience: float) -> None:
        """Until nothing is waiting any more, or so many seconds are over."""
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=patience)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [queue.task for queue in self._queues.values() if queue.task is not None]

    async def close(self) -> None:
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Queue:
    """What is asked of one upstream: ``task`` does so, while there is something."""

    def __init__(self, keeper: Keeper, gateway: Gateway, now: Clock) -> None:
        self.task: asyncio.Task[None] | None = None
        self._keeper = keeper
        self._gateway = gateway
        self._now = now
        self._allowance = Allowance(now)
        self._waiting: deque[str] = deque(maxlen=WAITING)
        self._asked: LRUCache[str, float] = LRUCache(ASKED)

    def want(self, name: str) -> None:
        before = self._asked.get(name)
        if before is not None and abs(self._now() - before) < self._keeper.interval:
            return
        if name not in self._waiting:
            self._waiting.append(name)
        if self.task is None:
            self.task = asyncio.create_task(self._work(), name=f"search details of {self._keeper.searched.name}")
            self.task.add_done_callback(self._ended)

    async def _work(self) -> None:
        while self._waiting:
            name = self._waiting.popleft()
            for kind in self._keeper.searched.lists.details:
                if not await self._learned(name, kind):
                    self._waiting.clear()
                    return
            self._asked[name] = self._now()

    async def _learned(self, name: str, kind: Kind) -> bool:
        """False where no more may be asked now."""
        want = NameWant(self._keeper.place, kind, name)
        try:
            if (held := await self._gateway.recall(want, fresh=True)) is None:
                if not self._allowance.take():
                    return False
                held = await self._gateway.lookup(want)
            facts = await unhurried(_facts, self._keeper, kind, held.document)
        except Failure:
            return True  # it may be asked again after a while, as everything
        self._keeper.learn(name, facts)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.task = None
        if not task.cancelled() and (crash := task.exception()) is not None:
            log.error("learning more of what was found crashed", exc_info=crash)


def _facts(keeper: Keeper, kind: Kind, document: Held) -> Facts:
    """Blocking."""
    return keeper.searched.lists.facts(kind, content(document))
