"""Threads that are begun all at once, so that no call depends on whether the system has one to give (a limit on
processes, memory).

A pool that begins them as they are needed has put a call into its queue before it fails to: who is told so knows
neither that the call is made after all, nor the lock that it takes.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

from apprproxy.core.errors import StoreFailed


def begin_threads(count: int, name: str) -> ThreadPoolExecutor:
    """``shutdown`` when done. Raises StoreFailed where the system does not give as many."""
    threads, all_there = ThreadPoolExecutor(count, thread_name_prefix=name), threading.Barrier(count)
    try:
        for _ in range(count):
            threads.submit(all_there.wait)  # none is idle, and so taken for the next, until all are there
    except RuntimeError as error:
        all_there.abort()
        threads.shutdown()
        raise StoreFailed(f"{error}: the limit on processes and threads is too low (ulimit -u, pids.max)") from error
    return threads
