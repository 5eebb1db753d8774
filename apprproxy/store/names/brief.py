"""Short-lived answers in aiocache: tokens, authoritative *no*s, recent failures.

aiocache's memory backend has no bound of its own, so whoever asks for a million names that do not exist would fill the
memory, and so would the answers of a token server: this one drops the oldest beyond its limits. Values are text;
nothing is pickled. Time is the clock that is given, so that tests need not sleep; aiocache's own timers only tidy up.
"""

from typing import Any

from aiocache import SimpleMemoryCache

from apprproxy.core.model import KIB, MIB, Clock

LIMIT = 10_000
MAX_VALUE = 16 * KIB
"""A token has one or two; more than a server takes in a header field is none."""
MAX_BYTES = 16 * MIB


class _Sized(dict[str, str]):
    """``size`` is that of its keys and values; no key is set twice without going between."""

    size = 0

    def __setitem__(self, key: str, value: str) -> None:
        self.size += len(key) + len(value)
        super().__setitem__(key, value)

    def pop(self, key: str, default: Any = None) -> Any:
        value = super().pop(key, None)
        if value is None:
            return default
        self.size -= len(key) + len(value)
        return value


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    """At most ``limit`` entries of ``size`` bytes together, the oldest going first."""

    def __init__(self, limit: int, size: int) -> None:
        super().__init__(timeout=None)
        self._cache = _Sized()
        self._limit = limit
        self._size = size

    async def _set(
        self, key: str, value: str, ttl: float | None = None, _cas_token: object = None, _conn: object = None
    ) -> object:
        await self._delete(key)  # so that the order of the entries is the order of their setting
        while self._cache and (len(self._cache) >= self._limit or self._cache.size + len(value) > self._size):
            await self._delete(next(iter(self._cache)))
        return await super()._set(key, value, ttl=ttl)


class BriefMemory:
    def __init__(self, now: Clock, limit: int = LIMIT, size: int = MAX_BYTES) -> None:
        self._now = now
        self._cache = _Bounded(limit, size)

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
