"""One attempt at one source: ask, judge the answer by its headers, and pour the body into the store, which verifies."""

from apprproxy.core.errors import DigestMismatch, Lied, Outage
from apprproxy.core.events import LieCaught
from apprproxy.core.model import MAX_DOCUMENT, Kind
from apprproxy.core.ports import BlobStore, Incoming, Observer, Reply, Request
from apprproxy.gateway.flight import Candidate, Flight, Landed

MAX_EXPLANATION = 64 * 1024
"""How much is read of a body that explains a failure."""


class Fetch:
    def __init__(self, store: BlobStore, observer: Observer, max_blob: int) -> None:
        self._store = store
        self._observer = observer
        self._max_blob = max_blob

    async def __call__(self, flight: Flight, candidate: Candidate, landed: Landed) -> None:
        """Calls ``landed`` as soon as the bytes are verified, returns when they are durable; raises UpstreamFault."""
        member, want = candidate.member, candidate.want
        request = member.dialect.source(want)
        async with member.upstream.open(request) as incoming:
            if incoming.status != 200:
                raise await self._explain(candidate, request, incoming)
            self._check_length(flight, candidate, incoming)
            async with self._store.ingest(flight.expected, member.name) as ingest:
                try:
                    async for chunk in incoming.chunks():
                        await ingest.write(chunk)
                    landed(await ingest.verify())
                except DigestMismatch as lie:
                    self._observer(LieCaught(member.name, "owner", lie.expected, lie.got))
                    raise
                await ingest.commit()

    def _check_length(self, flight: Flight, candidate: Candidate, incoming: Incoming) -> None:
        limit = MAX_DOCUMENT if candidate.want.kind is Kind.MANIFEST else self._max_blob
        announced = incoming.headers.get("content-length", "")
        if not announced.isdecimal():
            return
        size = int(announced)
        name = candidate.member.name
        if flight.expected.size is not None and size != flight.expected.size:
            raise Lied(name, f"announced {size} bytes where {flight.expected.size} are due")
        if size > limit:
            raise Lied(name, f"announced {size} bytes, more than the {limit} that are taken")
        flight.size = size

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
