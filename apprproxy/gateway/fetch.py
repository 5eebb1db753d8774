"""One attempt at one source: ask, judge the answer by its headers, and pour the body into the store, which verifies."""

from apprproxy.core.errors import DigestMismatch, Lied, Outage, UpstreamFault
from apprproxy.core.events import LieCaught
from apprproxy.core.model import MAX_DOCUMENT, MAX_PACKED, BlobWant, Kind, decimal_size
from apprproxy.core.ports import BlobStore, Incoming, Observer, Reply, Request
from apprproxy.gateway.flight import Candidate, Flight, Landed
from apprproxy.gateway.member import trail
from apprproxy.gateway.misses import Misses

MAX_EXPLANATION = 64 * 1024
"""How much is read of a body that explains a failure."""


class Fetch:
    def __init__(self, store: BlobStore, misses: Misses, observer: Observer, max_blob: int) -> None:
        self._store = store
        self._misses = misses
        self._observer = observer
        self._max_blob = max_blob

    async def __call__(self, flight: Flight, candidate: Candidate, landed: Landed) -> None:
        """Calls ``landed`` as soon as the bytes are verified, returns when they are durable; raises UpstreamFault."""
        member, want = candidate.member, candidate.want
        key, as_of = f"{want.kind} {want.repository} {want.expected.key}", self._misses.generation()
        if (miss := await self._misses.recall(member, key)) is not None:
            raise miss
        try:
            await self._fetch(flight, candidate, landed)
        except UpstreamFault as fault:
            await self._misses.note(member, key, fault, as_of)
            raise

    async def _fetch(self, flight: Flight, candidate: Candidate, landed: Landed) -> None:
        member, want = candidate.member, candidate.want
        request = member.dialect.source(want)
        async with member.upstream.open(request) as incoming:
            if incoming.status != 200:
                raise await self._explain(candidate, request, incoming)
            flight.before = trail(incoming.headers)
            limit = self._limit(want)
            self._check_length(flight, candidate, incoming, limit)
            async with self._store.ingest(flight.expected, member.name) as ingest:
                try:
                    received = 0
                    async for chunk in incoming.chunks():
                        received += len(chunk)
                        if received > limit:
                            raise Lied(member.name, f"sent more than the {limit} bytes that are taken")
                        await ingest.write(chunk)
                    landed(await ingest.verify())
                except DigestMismatch as lie:
                    self._observer(LieCaught(member.name, "owner", lie.expected, lie.got))
                    raise
                await ingest.commit()

    def _limit(self, want: BlobWant) -> int:
        if want.kind is Kind.MANIFEST:
            return MAX_DOCUMENT
        return min(MAX_PACKED, self._max_blob) if want.expected.unpacked else self._max_blob

    def _check_length(self, flight: Flight, candidate: Candidate, incoming: Incoming, limit: int) -> None:
        size = decimal_size(incoming.headers.get("content-length", ""))
        if size is None:
            return
        name = candidate.member.name
        if flight.expected.size is not None and size != flight.expected.size:
            raise Lied(name, f"announced {size} bytes where {flight.expected.size} are due")
        if size > limit:
            raise Lied(name, f"announced {size} bytes, more than the {limit} that are taken")
        flight.size = size
        flight.tell()

    async def _explain(self, candidate: Candidate, request: Request, incoming: Incoming) -> Exception:
        body = b""
        async for chunk in incoming.chunks():
            body += chunk
            if len(body) > MAX_EXPLANATION:
                break
        reply = Reply(incoming.status, incoming.headers, body[:MAX_EXPLANATION])
        name = candidate.member.name
        return candidate.member.dialect.judge(reply) or Outage(
            name, f"answered {reply.status} to {request.method} of bytes", reply.status
        )
