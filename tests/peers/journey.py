"""The one shape of these tests: what a genuine client gets through the gateway is what the genuine server gives it."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from tests.peers.clients import Ran, run
from tests.peers.gateway import Gateway
from tests.peers.process import Process

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A client's command; `{at}` is whom it asks (host and path), `{host}` the host alone, other fields are digests."""

    tool: str
    line: str

    def run(self, at: str, digests: dict[str, str]) -> Ran:
        host = at.partition("/")[0]
        return run(self.tool, *(word.format(at=at, host=host, **digests) for word in self.line.split()))

    def seen(self, at: str, digests: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """What a successful run printed, and the files it wrote; without whom it asked, order and a table's widths."""
        ran = self.run(at, digests).ok()
        told = re.sub(r"--+|  +", "  ", ran.out.replace(at, "REGISTRY"))
        return sorted(told.splitlines()), ran.files

    def __str__(self) -> str:
        return f"{self.tool} {self.line}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A genuine server with what it holds."""

    server: Process
    digests: dict[str, str]


Seen = tuple[list[str], dict[str, str]]


def travel(call: Call, upstream: Upstream, gateway: Gateway, prefix: str) -> None:
    """Cold, warm, and warm with the upstream stopped: each time the client sees what it sees without the gateway."""
    travel_all([call], upstream, gateway, prefix)


def travel_all(calls: Sequence[Call], upstream: Upstream, gateway: Gateway, prefix: str) -> None:
    """The same for several calls, two at a time. Only what none of the others asks for is cold."""
    journey(calls, upstream, gateway, prefix, _seen(calls, upstream.server.host, upstream))


def journey(calls: Sequence[Call], upstream: Upstream, gateway: Gateway, prefix: str, expected: Sequence[Seen]) -> None:
    """Cold, warm, and warm with the upstream stopped: each call sees what is expected of it."""

    def go(stage: str) -> None:
        seen = _seen(calls, f"{gateway.host}{prefix}", upstream)
        for call, genuine, through in zip(calls, expected, seen, strict=True):
            assert genuine == through, f"{stage}: {call}"

    go("cold")
    if _fetched_during(gateway, lambda: go("warm")):
        # a client may have its bytes a moment before they are durable, and it is then that the fetch is counted
        assert not _fetched_during(gateway, lambda: go("warm")), "a blob that is held was fetched again"
    with upstream.server.stopped():
        go("warm, upstream stopped")


def _seen(calls: Sequence[Call], at: str, upstream: Upstream) -> list[Seen]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda call: call.seen(at, upstream.digests), calls))


def _fetched_during(gateway: Gateway, act: Callable[[], None]) -> float:
    before = _blobs_fetched(gateway)
    act()
    return _blobs_fetched(gateway) - before


def _blobs_fetched(gateway: Gateway) -> float:
    return gateway.total("apprproxy_upstream_requests_total", kind="blob")


def eventually(attempt: Callable[[], T]) -> T:
    """The first success within a few seconds: a wrong answer is remembered for `missing_for`."""
    give_up = time.monotonic() + 10
    while True:
        try:
            return attempt()
        except AssertionError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)
