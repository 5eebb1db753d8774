"""One source of bytes, as the gateway has it: the real upstream, watched, with a clock that is given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from yarl import URL

from apprproxy.core.digest import Digest
from apprproxy.core.events import Event, Observer
from apprproxy.core.label import Label
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.core.ports.upstream import Request
from apprproxy.gateway.members.health import Health, Tolerance
from apprproxy.gateway.members.member import Source
from apprproxy.gateway.members.watched import Watched
from apprproxy.store.names.brief import BriefMemory
from apprproxy.upstream.accounts import fixed
from apprproxy.upstream.guard import Guard
from apprproxy.upstream.http import HttpUpstream
from apprproxy.upstream.sessions import Line, Sessions
from tests.fakes.clock import Clock

LABEL = Label("hub")
QUICK = Line(connect=0.5, read=0.5)
"""For a source that keeps silent. An answer may be as late on a busy machine."""
PATIENT = Line()


def recorder(told: list[Event]) -> Observer:
    def observe(event: Event) -> None:
        told.append(event)

    return observe


@asynccontextmanager
async def watched(
    url: str,
    tolerance: Tolerance,
    clock: Clock,
    told: list[Event] | None = None,
    line: Line = PATIENT,
    **keys: Any,
) -> AsyncIterator[Watched]:
    brief, observe = BriefMemory(clock), recorder([] if told is None else told)
    upstream = HttpUpstream(LABEL, Guard(URL(url)), Sessions(line, {}), fixed(None), brief, observe, clock)
    try:
        yield Watched(upstream, Health(LABEL, tolerance, clock, observe), **keys)
    finally:
        await upstream.close()
        await brief.close()


def blob_want(content: bytes, repository: str = "library/app") -> BlobWant:
    return BlobWant(Place("hub", ("hub",)), repository, Expected(Digest.of(content)))


async def read(source: Source, want: BlobWant) -> tuple[int, bytes]:
    """The status and the body, whatever they are."""
    request: Request = source.speaks.blob_request(want)
    async with source.upstream.open(request) as incoming:
        return incoming.status, b"".join([chunk async for chunk in incoming.chunks()])
