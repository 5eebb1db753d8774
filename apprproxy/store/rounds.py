"""Threads that upstreams share: each has its part of the time, however much another has asked for.

What takes long is done in steps: between two of them everybody else has a turn, those of the same upstream included.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from apprproxy.core.model import Clock

PIECE = 500
"""Rows read or written in one turn, which takes some hundredths of a second."""

LONGEST = 0.125
"""Seconds of a step that are counted: one that takes longer waits for the disk, or for another process, which is the
fault of nobody here."""

PAUSE = 0.04
"""Seconds, at most, for which a database is left alone after a piece. Who waits for it looks again after some
milliseconds at first, and every 100 later on (sqlite's ``sqliteDefaultBusyCallback``)."""

P = ParamSpec("P")
T = TypeVar("T")
Steps = Generator[None, None, T]


def in_pieces(rows: Sequence[T]) -> list[Sequence[T]]:
    return [rows[at : at + PIECE] for at in range(0, len(rows), PIECE)]


class Pauses:
    """Between pieces, for other processes: they look from time to time whether the database is free, which it would
    hardly ever be. ``seconds`` to leave it alone before the next piece: as long as the last one took."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self.seconds = 0.0
        self._now = now

    @contextmanager
    def after(self) -> Iterator[None]:
        began = self._now()
        yield
        self.seconds = min(self._now() - began, PAUSE)


class Rounds:
    """Whoever has had least of the time is next: a step of one is a row, where another's is hundreds. ``now`` is in
    seconds. ``shutdown`` when done."""

    def __init__(self, threads: int, name: str, now: Clock = time.monotonic) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._now = now
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Callable[[], bool]]] = {}
        self._had: dict[str, float] = {}
        self._least = 0.0

    def of(self, whom: str) -> Executor:
        """One turn for each call, in their order."""
        return _Turns(self, whom)

    def submit(self, whom: str, steps: Steps[T]) -> Future[T]:
        """It is done although nobody waits for it any more, unless it had not begun. Raises RuntimeError once all this
        has been shut down."""
        done = Future[T]()
        with self._lock:
            self._threads.submit(self._finish_one)
            self._had[whom] = max(self._had.get(whom, 0), self._least)  # who asks for nothing saves up none
            self._waiting.setdefault(whom, deque()).append(partial(_went_on, done, steps))
        return done

    def _finish_one(self) -> None:
        """Takes steps, of whom it may be, until one call is finished: there are as many of these as calls, so that one
        always waits to be taken."""
        goes_on = True
        while goes_on:
            with self._lock:
                whom = min(self._waiting, key=self._had.__getitem__)
                self._least = max(self._least, self._had[whom])
                mine = self._waiting.pop(whom)
                step = mine.popleft()
                if mine:
                    self._waiting[whom] = mine  # behind all others
            began = self._now()
            goes_on = step()
            with self._lock:
                self._had[whom] += min(self._now() - began, LONGEST)
                if goes_on:
                    self._waiting.setdefault(whom, deque()).append(step)

    def shutdown(self) -> None:
        """Until all is done that was asked for. Blocking."""
        self._threads.shutdown()


class _Turns(Executor):
    def __init__(self, rounds: Rounds, whom: str) -> None:
        self._rounds = rounds
        self._whom = whom

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._rounds.submit(self._whom, _in_one(partial(call, *args, **kwargs)))


def _in_one(call: Callable[[], T]) -> Steps[T]:
    yield from ()
    return call()


def _went_on(done: Future[T], steps: Steps[T]) -> bool:
    """By one step; says whether there are more."""
    if not done.running() and not done.set_running_or_notify_cancel():
        return False
    try:
        next(steps)
    except StopIteration as end:
        done.set_result(end.value)
    except BaseException as error:  # its caller's, who waits for it
        done.set_exception(error)
    else:
        return True
    return False
