"""What a gateway looks after while it serves: the sign that it lives, the end of its own certificate, what its log
owes, and memory that is free."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from apprproxy.app import Lifetime
from apprproxy.core.model import Clock
from apprproxy.memory import give_back
from apprproxy.ops.logs import logger, stamp
from apprproxy.settings.units import write_size
from apprproxy.store.directory.runs import Run

OFTEN = 60.0
"""Seconds between two looks, and so how exactly it is known when a gateway was killed."""
HANGS = 10.0
"""Seconds after which the disk is said to hang: what is asked of it here takes none."""
DAY = 86400.0
SOON = 14 * DAY
"""Seconds before the end of a certificate from which on it is told; of one that is made for less, a fifth of that."""


def begun(directory: Path, max_size: int, now: Clock = time.time) -> Run | None:
    """Blocking. It is a word for operators: without it a gateway serves as well."""
    try:
        run = Run(directory / "runs", max_size, now)
    except OSError:
        return None
    log = logger("apprproxy")
    for left in run.broken_off:
        log.warning(
            "a gateway on this cache had ended without stopping, or could not write that it stopped: it was killed, the"
            " machine went down, or its disk only read by then",
            began=stamp(left.begun),
            last_seen=stamp(left.seen),
            gone_by=stamp(min(left.seen + OFTEN, now())),
            hint="whether its own log ends with `stopped`; if not, its exit status (137 is SIGKILL), and for the OOM"
            " killer the kernel's log: dmesg, journalctl -k",
        )
    for other in sorted(run.others):
        log.warning(
            "another gateway on this cache has another cache.max_size: the smaller one evicts what both hold",
            ours=write_size(max_size),
            other=write_size(other),
        )
    return run


class Minding:
    """``certificate`` is that of the addresses that we listen on; ``remind`` is called as often as we look. ``close``
    it."""

    def __init__(
        self, run: Run | None, certificate: Lifetime | None, remind: Callable[[], None], now: Clock = time.time
    ) -> None:
        self._run = run
        self._certificate = certificate
        self._remind = remind
        self._now = now
        self._told: float | None = None
        self._task = asyncio.create_task(self._go_on(), name="minding")

    async def _go_on(self) -> None:
        while True:
            try:
                self._remind()
                await self._looked()
                await asyncio.to_thread(give_back)
            except Exception:  # the top of a task
                logger("apprproxy").exception("what a gateway looks after could not be looked after")
            await asyncio.sleep(OFTEN)

    async def _looked(self) -> None:
        """Clients wait for a disk that hangs, and an error that could be told does not come of it."""
        now = asyncio.get_running_loop().time
        looking, began = asyncio.ensure_future(asyncio.to_thread(self.look)), now()
        try:
            await asyncio.wait([looking], timeout=HANGS)
            if not looking.done():
                logger("apprproxy").error("the cache's disk does not answer", seconds=HANGS)
                await asyncio.wait([looking])
                logger("apprproxy").info("the cache's disk answers again", after=round(now() - began, 1))
            looking.result()
        finally:
            looking.cancel()

    def look(self) -> None:
        """Blocking."""
        if self._run is not None:
            self._run.sign()
        if self._certificate is not None and (self._told is None or not 0 <= self._now() - self._told < DAY):
            self._told = self._now()
            self._tell(self._certificate)

    def _tell(self, certificate: Lifetime) -> None:
        left = certificate.ends - self._now()
        if left <= 0:
            logger("apprproxy").error("the certificate of server.tls has expired", until=stamp(certificate.ends))
        elif left < min(SOON, (certificate.ends - certificate.begins) / 5):
            logger("apprproxy").warning("the certificate of server.tls expires soon", until=stamp(certificate.ends))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._run is not None:
            self._run.close()
