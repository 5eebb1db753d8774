"""Short-lived answers in aiocache: tokens, authoritative *no*s, recent failures.

aiocache's memory backend has no bound of its own, so whoever asks for a million names that do not exist would fill the
memory: this one drops the oldest beyond a limit. Values are text; nothing is pickled. Time is the clock that is given,
so that tests need not sleep; aiocache's own timers only tidy up.
"""

from aiocache import SimpleMemoryCache

from apprproxy.core.model import Clock

LIMIT = 10_000
MAX_VALUE = 64 * 1024


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    """At most ``limit`` entries, the oldest going first."""

    def __init__(self, limit: int) -> None:
        super().__init__(timeout=None)
        self._limit = limit

    async def _set(
        self, key: str, value: str, ttl: float | None = None, _cas_token: object = None, _conn: object = None
    ) -> object:
        await self._delete(key)  # so that the order of the entries is the order of their setting
        while len(self._cache) >= self._limit:
            await self._delete(next(iter(self._cache)))
        return await super()._set(key, value, ttl=ttl)


class BriefMemory:
    def __init__(self, now: Clock, limit: int = LIMIT) -> None:
        self._now = now
        self._cache = _Bounded(limit)

    async def get(self, key: str) -> str | None:
        entry: str | None = await self._cache.get(key)
        if entry is None:
            return None
        until, _, value = entry.partition(" ")
        return value if self._now() < float(until) else None

    async def set(self, key: str, value: str, seconds: float) -> None:
        """A value that is too large is not kept; that costs asking again."""
        if len(value) <= MAX_VALUE and seconds > 0:
            await self._cache.set(key, f"{self._now() + seconds!r} {value}", ttl=seconds)

    async def forget(self, key: str) -> None:
        await self._cache.delete(key)

    async def close(self) -> None:
        """Forget everything, timers included."""
        for key in list(self._cache._cache):
            await self._cache.delete(key)
