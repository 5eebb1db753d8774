"""The one shape of these tests: what a genuine client gets through the gateway is what the genuine server gives it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tests.peers.clients import Ran, run
from tests.peers.gateway import Gateway
from tests.peers.process import Process

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A client's command; `{at}` is whom it asks (host and path), other fields are digests."""

    tool: str
    line: str

    def run(self, at: str, digests: dict[str, str]) -> Ran:
        return run(self.tool, *(word.format(at=at, **digests) for word in self.line.split()))

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


def travel(call: Call, upstream: Upstream, gateway: Gateway, prefix: str) -> None:
    """Cold, warm, and warm with the upstream stopped: each time the client sees what it sees without the gateway."""
    through = f"{gateway.host}{prefix}"
    genuine = call.seen(upstream.server.host, upstream.digests)

    assert genuine == call.seen(through, upstream.digests), "cold"
    fetched = _blobs_fetched(gateway)
    assert genuine == call.seen(through, upstream.digests), "warm"
    assert fetched == _blobs_fetched(gateway), "a blob that is held was fetched again"
    with upstream.server.stopped():
        assert genuine == call.seen(through, upstream.digests), "warm, upstream stopped"


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
