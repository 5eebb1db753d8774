"""The demo from start to end: three rounds, the table, the commands, then serving until told to stop."""

import asyncio
import os
import signal
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from rich.console import Console

from apprproxy.demo import script
from apprproxy.demo.client import Client
from apprproxy.demo.commands import proxy_stands_between
from apprproxy.demo.embedded import Upstreams, running
from apprproxy.demo.gateway import gateway, log_file
from apprproxy.demo.table import show
from apprproxy.demo.tour import Findings, tour
from apprproxy.demo.verdict import complaints

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class Stopped(Exception):
    """Somebody said stop."""


async def demo(console: Console, *, once: bool, honest: bool = False) -> int:
    """The exit status; raises CannotListen, Failure or OSError. ``honest`` makes the liar tell the truth, for a test.

    Whatever it made is gone when it returns.
    """
    proxied = proxy_stands_between(os.environ)  # the gateway's environment has none
    stop = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        with TemporaryDirectory(prefix="apprproxy-demo-") as name:
            folder = Path(name)
            async with running(honest=honest) as upstreams, gateway(folder, upstreams, stop) as url:
                findings = await _introduced(console, url, upstreams, stop)
                if not once:
                    script.suggest(console, url, log_file(folder), proxied=proxied)
                    await stop.wait()
                status = 1 if complaints(findings) else 0
    except Stopped:
        status = 0
    if not once:
        script.end(console)
    return status


async def _introduced(console: Console, url: str, upstreams: Upstreams, stop: asyncio.Event) -> Findings:
    script.introduce(console, url, upstreams)
    findings = await _unless(stop, _toured(url, upstreams))
    show(console, findings)
    return findings


async def _toured(url: str, upstreams: Upstreams) -> Findings:
    async with Client(url) as client:
        return await tour(client, upstreams)


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """What the work returns; raises Stopped."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    both: set[asyncio.Future[Any]] = {working, stopping}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            raise Stopped
        return await working
    finally:
        for task in both:
            task.cancel()
        await asyncio.wait(both)
