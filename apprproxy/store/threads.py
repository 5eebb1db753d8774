"""Threads whose calls are done also where the system has none to give (a limit on processes, memory).

The library has put a call into the queue by then: who is told that it failed knows neither that it is done after all,
nor the lock that it takes.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress


class Threads(ThreadPoolExecutor):
    """One is begun at once; a call for which there is no other waits for those that there are."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, thread_name_prefix=name)
        super()._adjust_thread_count()

    def _adjust_thread_count(self) -> None:
        with suppress(RuntimeError):
            super()._adjust_thread_count()
