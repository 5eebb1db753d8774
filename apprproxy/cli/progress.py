"""How far long work has come: a bar on a terminal, a line every few seconds elsewhere, on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from apprproxy.cli.shown import size
from apprproxy.core.ports import Clock

EVERY = 10.0
"""Seconds between two lines."""

Told = Callable[[int], None]
"""So many more bytes are done; may be called by any thread."""


@contextmanager
def progress(doing: str, total: int) -> Iterator[Told]:
    if not sys.stderr.isatty():
        yield Lines(doing, total, time.monotonic)
        return
    columns = (TextColumn(doing), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda count: bar.advance(task, count)


class Lines:
    def __init__(self, doing: str, total: int, now: Clock) -> None:
        self._doing = doing
        self._total = total
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
                click.echo(f"{self._doing}: {size(self._done)} of {size(self._total)}", err=True)
