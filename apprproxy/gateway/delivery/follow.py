"""Reading a blob while it arrives: the owner's bytes as they come, the end of them only once the digest is right.

- A client that got a wrong beginning cannot be helped: containerd keeps it, and asks for the rest. So the last bytes of
  whatever it asked for wait for the digest, and it never completes what is wrong.
- Bytes of a mirror, and of another upstream, wait for the digest altogether.
- If the file is thrown away and begun anew, whoever has been given some of it is broken off.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from apprproxy.core.errors import Lied, StoreFailed, forget_calls
from apprproxy.core.label import OWNER, Label
from apprproxy.core.model import KIB, MIB, Verdict
from apprproxy.core.ports.store import Held, Readable
from apprproxy.core.threads import at_length
from apprproxy.gateway.diary import Tried
from apprproxy.gateway.flights.candidates import Candidate, in_their_name
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.transfer import Pieces, Stretch
from apprproxy.gateway.visible import NOTHING, Sight

WITHHELD = 64 * KIB
_WRONG = "sent wrong bytes, of which this client has been given some"

Instead = Callable[[int, int, int, tuple[Readable, Label] | None], Pieces]
"""Another way to bytes ``at`` up to ``stop`` of ``size``, for when they cannot be kept; with what is there, and whose
it is."""


class Following:
    """One client's wait for a flight, whose size is known. ``waited`` is what it has waited for already; ``sight``
    is what it may be given of what did not come in its own name; ``may_see`` finds out."""

    def __init__(
        self,
        verdict: Verdict,
        flight: Flight,
        candidates: Sequence[Candidate],
        size: int,
        *,
        waited: Sequence[Tried],
        stream: str,
        sight: Sight,
        may_see: Callable[[], Awaitable[Sight]],
        done: Callable[[], Awaitable[Held]],
        instead: Instead,
    ) -> None:
        self.verdict = verdict
        self.origin = candidates[0].member.name
        self._whose = Label(self.origin, "")
        self.size = size
        self._waited = waited
        self._flight = flight
        self._candidates = candidates
        self._stream = stream
        self._sight = sight
        self._may_see = may_see
        self._asked = False
        self._done = done
        self._instead = instead
        flight.candidates.joined_by(candidates)
        self._closed = False

    @property
    def tried(self) -> Sequence[Tried]:
        return (*self._waited, *self._flight.diary.so_far)

    async def held(self) -> Held:
        return await self._done()

    async def pieces(self, start: int, stop: int) -> Pieces:
        at, reading = start, None
        try:
            while at < stop:
                if self._flight.settled(self._candidates) is not None:
                    held = self._as_announced(await self._done())
                    if reading is not None and reading.identity != held.identity:
                        await at_length(self._compare, held, reading, start, at)
                    yield Stretch(held, at, stop)
                    return
                if self._flight.elsewhere and self._stream != "never" and self._sight == NOTHING and not self._asked:
                    self._sight, self._asked = await self._may_see(), True
                    continue
                if reading is not None and self._flight.has_thrown(reading):
                    raise Lied(self._whose.upstream, _WRONG)
                growing = self._flight.growing
                upto = min(self._safe(), stop - WITHHELD)
                if growing is None or upto <= at or not _is_same(growing, reading):
                    await self._flight.changed()
                    continue
                reading = growing
                self._whose = self._sent_by(upto)
                yield Stretch(reading, at, upto)
                at = upto
        except StoreFailed as failure:
            if self._stream == "never":
                raise
            forget_calls(failure)
            had = (reading, self._whose) if reading is not None else None
            async with aclosing(self._instead(at, stop, self.size, had)) as pieces:
                async for piece in pieces:
                    yield piece

    def _sent_by(self, upto: int) -> Label:
        """Whose the bytes up to there are: of one upstream all, of no source of it where several sent them."""
        sources = {part.label for part in self._flight.parts if part.start < upto}
        return sources.pop() if len(sources) == 1 else Label(next((one.upstream for one in sources), self.origin), "")

    def _compare(self, held: Held, before: Readable, start: int, stop: int) -> None:
        """What this client was given came of another file than what is right. Blocking, at the disk's speed."""
        while start < stop:
            count = min(MIB, stop - start)
            if held.pread(start, count) != before.pread(start, count):
                raise Lied(self._whose.upstream, _WRONG)
            start += count

    def _as_announced(self, held: Held) -> Held:
        if held.size != self.size:
            raise Lied(self.origin, f"{self.size} bytes were announced and {held.size} are right")
        return held

    def _safe(self) -> int:
        """Up to where the bytes are such as may leave before they are verified."""
        flight = self._flight
        if self._stream == "never":
            return 0
        if self._stream == "any" and self._sight.all:
            return flight.arrived
        if not flight.parts:
            return 0  # nobody says whose they are
        givers = {name for one in self._candidates if self._sight.of(name := one.member.name)}
        if flight.current is not None and in_their_name(flight.current, self._candidates):
            givers.add(flight.current.member.name)
        for part in flight.parts:
            if part.upstream not in givers or (part.source != OWNER and self._stream != "any"):
                return part.start
        return flight.arrived

    async def close(self) -> None:
        """The flight goes on without us."""
        if not self._closed:
            self._closed = True
            self._flight.candidates.left_by(self._candidates)


def _is_same(now: Readable, before: Readable | None) -> bool:
    """Where another upstream has its turn, in a file of its own, only the end tells."""
    return before is None or before.identity == now.identity
