"""One attempt at one source: ask for what is lacking, judge the answer by its headers, pour the body into a partial,
which verifies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from apprproxy.core.errors import (
    CutOff,
    DigestMismatch,
    Failure,
    HasLess,
    Lied,
    OtherSize,
    Outage,
    StoreFailed,
    TooMuch,
    TooSlow,
    Unreachable,
    UpstreamFault,
)
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import MAX_DOCUMENT, MAX_PACKED, decimal_size
from apprproxy.core.ports.store import Held, Partial
from apprproxy.core.ports.upstream import Incoming, Lane, Reply, Request
from apprproxy.core.reading import is_short
from apprproxy.gateway.diary import THE_CACHE
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.contributors import sources_of
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.flights.pace import Pace, paced
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import trail
from apprproxy.gateway.waits import not_counted

MAX_EXPLANATION = 64 * 1024
"""How much is read of a body that explains a failure."""

Ours = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Rest:
    """An answer with a blob's bytes from ``start`` on; ``total`` is the size of the whole, where it is told."""

    incoming: Incoming
    start: int
    total: int | None


class Fetch:
    def __init__(self, shelf: Shelf, observer: Observer, max_blob: int) -> None:
        self._shelf = shelf
        self._observer = observer
        self._max_blob = max_blob

    async def __call__(self, flight: Flight, candidate: Candidate, partial: Partial) -> bool:
        """Lands the flight as soon as the bytes are verified, returns when they are durable; raises UpstreamFault.

        False: the candidate was not asked, since it could not give these bytes a moment ago."""
        member, want = candidate.member, candidate.want
        misses, as_of = self._shelf.misses, self._shelf.misses.generation(member)
        key = f"{want.kind} {want.repository} {want.expected.key}"
        if candidate.source.owner and (miss := await misses.recall(member, key)) is not None:
            flight.candidates.fail(candidate, miss)
            return False
        asked = not partial.size or partial.size != candidate.due
        try:
            if asked:
                await self._poured(flight, candidate, partial)
            with flight.diary.meanwhile(THE_CACHE):
                held = await partial.verify()
        except UpstreamFault as fault:
            mixed = isinstance(fault, DigestMismatch) and len(partial.parts) > 1
            if candidate.source.owner and asked and not mixed:
                await misses.note(member, key, fault, as_of)
            raise
        # where all of it lay there, nobody has said that this repository may show it
        sources = ",".join(sources_of(partial, member.name)) or candidate.source.label if asked else None
        if want.kind.document:  # first: who has it asks at once for what it names
            with flight.diary.meanwhile(THE_CACHE):
                await self._note(candidate, sources, held)
        flight.land(held, candidate if asked else None, member.name)
        if not want.kind.document:
            await self._note(candidate, sources)
        await partial.commit()
        return True

    async def _poured(self, flight: Flight, candidate: Candidate, partial: Partial) -> None:
        """A mirror that keeps silent about a document must leave its owner time to answer: whoever asked for the name
        waits no longer than ``timeouts.name`` for all of them."""
        member, source = candidate.member, candidate.source
        document = candidate.want.kind.document and not source.owner
        limit = member.terms.timeout / len(member.sources) if document else None
        try:
            async with asyncio.timeout(limit) as due, paced(flight, candidate, partial) as pace:
                await self._pour(flight, candidate, partial, lambda: _ours(flight, pace, due))
        except TimeoutError:
            slow = TooSlow(source.upstream.name, f"sent no manifest within {limit:g} s")
            source.health.trouble(slow.sentence)
            raise slow from None

    async def _pour(self, flight: Flight, candidate: Candidate, partial: Partial, ours: Ours) -> None:
        source = candidate.source
        async with self.rest(candidate, partial.size) as rest:
            flight.trail = trail(rest.incoming.headers)
            limit = self._limit(candidate)
            size = self._size(candidate, rest, limit)
            flight.answers(candidate, size)  # first, for a disk that takes nothing: who knows the size can be passed to
            believed = size if source.owner or candidate.due is not None else None  # room is made for what is
            with ours():
                await partial.begins(candidate.member.name, source.label, believed)
                if source.owner:
                    await self._note(candidate, CLAIMED)
            flight.reads(partial)
            there = partial.size
            if rest.total == there:
                return
            if rest.total is not None and rest.total < there:
                raise HasLess(source.upstream.name, there, rest.total)
            skip, received = there - rest.start, rest.start
            async for chunk in rest.incoming.chunks():
                received += len(chunk)
                if received > limit:
                    raise TooMuch(source.upstream.name, f"sent more than the {limit} bytes that are taken", received)
                with flight.diary.meanwhile(THE_CACHE):
                    await partial.write(chunk[skip:] if skip < len(chunk) else b"")
                skip = max(0, skip - len(chunk))
            ended = _ends_with_its_line(rest.incoming)
            due = candidate.due if candidate.due is not None else rest.total
            if ended and due is not None and received < due:
                raise Unreachable(source.upstream.name, f"broke off after {received} bytes of {due}")
            if received < there:
                raise HasLess(source.upstream.name, there, None if ended else received)
            if ended and due is None and not there:
                with ours():
                    await self._refuse_cut_off(candidate, partial)

    async def _refuse_cut_off(self, candidate: Candidate, partial: Partial) -> None:
        """Of a body that ended with its line nobody has said that it is the whole: where it may have broken off, that
        is trouble (Unreachable) and no lie.

        Who lies so is found out all the same. What came is gone on with, and the right bytes tell once they are here.
        Of a package, which is not gone on with, it must be a beginning: one that is whole is what it is."""
        try:
            await partial.verify()
        except (CutOff, DigestMismatch) as lie:
            if isinstance(lie, DigestMismatch) and candidate.want.expected.unpacked is not None:
                raise
            said = f"broke off after {partial.size} bytes, or they are others"
            raise Unreachable(candidate.source.upstream.name, said) from lie

    @asynccontextmanager
    async def rest(self, candidate: Candidate, start: int, lane: Lane | None = None) -> AsyncIterator[Rest]:
        """The source's bytes from ``start`` on, or all of them where it knows no ranges; raises UpstreamFault."""
        request = candidate.source.speaks.blob_request(candidate.want)
        request = replace(request, lane=lane or request.lane, in_turn=True)
        if start:
            request = replace(request, headers={**request.headers, "Range": f"bytes={start}-"})
        async with candidate.source.upstream.open(request) as incoming:
            name = candidate.source.upstream.name
            length = decimal_size(incoming.headers.get("content-length", ""))
            match incoming.status:
                case 200:
                    yield Rest(incoming, 0, length)
                case 206 if start:
                    first, total = content_range(incoming.headers.get("content-range", ""))
                    if first != start:
                        raise Lied(name, f"sent bytes from {first} where those from {start} were asked for")
                    yield Rest(incoming, start, total)
                case 416 if start:
                    if (total := content_range(incoming.headers.get("content-range", ""))[1]) != start:
                        raise HasLess(name, start, total)
                    yield Rest(incoming, start, start)
                case _:
                    raise await self._explain(candidate, request, incoming)

    def _limit(self, candidate: Candidate) -> int:
        if candidate.want.kind.document:
            return MAX_DOCUMENT
        return min(MAX_PACKED, self._max_blob) if candidate.want.expected.unpacked else self._max_blob

    def _size(self, candidate: Candidate, rest: Rest, limit: int) -> int | None:
        """Of the whole; what is known beforehand is what is due."""
        name, due = candidate.source.upstream.name, candidate.due
        if due is not None and rest.total is not None and rest.total != due:
            raise OtherSize(name, f"announced {rest.total} bytes where {due} are due")
        size = due if due is not None else rest.total
        if size is not None and size > limit:
            raise TooMuch(name, f"announced {size} bytes, more than the {limit} that are taken", rest.total or 0)
        return size

    async def _note(self, candidate: Candidate, source: str | None, manifest: Held | None = None) -> None:
        """What is known now; no ``source`` where it is not known that this repository shows the bytes. They are right
        whether or not that can be written down."""
        where, key = candidate.member.where(candidate.want.repository), candidate.want.expected.key
        try:
            if source is not None:
                await self._shelf.index.shown(where, key, source)
            if manifest is not None:
                await self._shelf.link(candidate.member, manifest)
        except StoreFailed as failure:
            self._observer(Trouble("index", candidate.member.name, key, str(failure)))

    async def _explain(self, candidate: Candidate, request: Request, incoming: Incoming) -> Failure:
        body = b""
        async for chunk in incoming.chunks():
            body += chunk
            if len(body) > MAX_EXPLANATION:
                break
        reply = Reply(incoming.status, incoming.headers, body[:MAX_EXPLANATION])
        judge, desk = candidate.source.speaks.judge, candidate.member.desk
        return await desk.take_apart(is_short(reply.body), judge, reply) or Outage(
            candidate.source.upstream.name, f"answered {reply.status} to {request.method} of bytes", reply.status
        )


@contextmanager
def _ours(flight: Flight, pace: Pace, due: asyncio.Timeout) -> Iterator[None]:
    """What the cache takes for itself is no time of the source's."""
    with pace.ours(), not_counted(due), flight.diary.meanwhile(THE_CACHE):
        yield


def _ends_with_its_line(incoming: Incoming) -> bool:
    """RFC 9112, section 6.3, rule 8: whether it is the whole of it nobody can tell."""
    return not {"content-length", "transfer-encoding"} & incoming.headers.keys()


def content_range(field: str) -> tuple[int | None, int | None]:
    """First byte and size of the whole (RFC 9110, section 14.4)."""
    unit, _, rest = field.partition(" ")
    span, _, total = rest.partition("/")
    first = decimal_size(span.partition("-")[0]) if unit == "bytes" else None
    return first, decimal_size(total)
