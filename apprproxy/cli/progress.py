"""How far long work has come: a bar on a terminal, a line every few seconds elsewhere, on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from apprproxy.cli.shown import size
from apprproxy.core.model import Clock
from apprproxy.upkeep.told import Told

EVERY = 10.0
"""Seconds between two lines."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted, and how a number of them is written."""

    name: str
    columns: Sequence[ProgressColumn]

    def written(self, count: int) -> str:
        return size(count) if self.name == "bytes" else str(count)


BYTES = Unit("bytes", (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()))
BLOBS = Unit("blobs", (MofNCompleteColumn(),))


@dataclass(frozen=True, slots=True)
class Display:
    """``begin`` is for each piece of work, and what is printed meanwhile is printed within ``aside``."""

    begin: Callable[[str, int], AbstractContextManager[Told]]
    aside: Callable[[], AbstractContextManager[None]]


@contextmanager
def progress(doing: str, total: int, unit: Unit = BYTES) -> Iterator[Told]:
    with side_by_side(unit) as display, display.begin(doing, total) as told:
        yield told


@contextmanager
def side_by_side(unit: Unit) -> Iterator[Display]:
    """For several at once: a terminal has room for one such display."""
    if not sys.stderr.isatty():
        yield Display(lambda doing, total: nullcontext(Lines(doing, total, unit, time.monotonic)), nullcontext)
        return
    columns = TextColumn("{task.description}"), BarColumn(), *unit.columns
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Display(partial(_bar, bars), partial(_aside, bars))


@contextmanager
def _aside(bars: Progress) -> Iterator[None]:
    """The bars are taken off the terminal as long. What is printed beside them goes to theirs, standard output too, and
    is cut into lines of the terminal's width."""
    bars.stop()
    try:
        yield
    finally:
        bars.start()


@contextmanager
def _bar(bars: Progress, doing: str, total: int) -> Iterator[Told]:
    bar = _Bar(bars, doing, total)
    try:
        yield bar
    finally:
        bar.end()


class _Bar:
    def __init__(self, bar: Progress, doing: str, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task(escape(doing), total=total)

    def end(self) -> None:
        self._bar.remove_task(self._task)

    def __call__(self, count: int) -> None:
        self._bar.advance(self._task, count)

    def expect(self, total: int) -> None:
        self._bar.update(self._task, total=total)


class Lines:
    def __init__(self, doing: str, total: int, unit: Unit, now: Clock) -> None:
        self._doing = doing
        self._total = total
        self._unit = unit
        self._now = now
        self._last = now()
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._now()
            if now - self._last >= EVERY:
                self._last = now
                done, total = map(self._unit.written, (self._done, self._total))
                click.echo(f"{self._doing}: {done} of {total}", err=True)

    def expect(self, total: int) -> None:
        with self._lock:
            self._total = total
