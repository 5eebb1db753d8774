"""At most one transfer of a digest for those who ask the same upstreams, however many; and failure is never shared.

- A flight has candidates, tried one after the other. Whoever joins adds its own (another repository, and what else of
  a view may have it).
- A waiter is told of success, or of the failure of *its own* candidates: another repository's 404 is not its 404.
- A waiter that leaves ends only its own wait; the flight goes on.
- Those who would ask other upstreams, or in another order, have a flight of their own (``guest.py``).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from apprproxy.core.errors import Exhausted, Failure, UpstreamFault
from apprproxy.core.model import Contribution, Expected
from apprproxy.core.ports.store import Held, Partial, Readable
from apprproxy.gateway.diary import Diary
from apprproxy.gateway.flights.candidates import Candidate, Candidates, Key
from apprproxy.gateway.flights.suspicion import Suspicion


class Flight:
    """One transfer.

    - ``upstreams`` are those that everybody who joins would ask, in this order, and ``lead`` the first; ``slot_at`` is
      the one whose slot it has now, ``queue`` the one for whose slot it waits, and ``counted`` the one of whose share
      of all transfers it takes one, for as long as it lasts.
    - ``behind`` says that it waits for somebody else's transfer, ``apart`` that it has a file of its own, for the one
      that all share is another's.
    - ``growing`` is what has arrived and ``parts`` whose bytes these are; ``sizes`` is what each upstream's owner
      announced; ``brought_by`` is the upstream that sent what landed, where that is known.
    - ``alone`` says that it brings what is here already, since that is not for those who wait to see: nobody else's
      transfer, and nothing that is held, is taken instead.
    - ``answered`` says that a source has begun to send, ``elsewhere`` that another process fills it, or another
      upstream's flight; ``kept`` that the disk takes it, as far as is known.
    - ``trail`` is what caches between the source and here said of themselves.
    """

    def __init__(
        self,
        expected: Expected,
        upstreams: tuple[str, ...],
        share: Callable[["Flight"], None] = lambda _: None,
        *,
        alone: bool = False,
    ) -> None:
        """``share`` is told when it has landed."""
        self.expected = expected
        self.alone = alone
        self._share = share
        self.upstreams = upstreams
        self.candidates = Candidates()
        self.suspicion = Suspicion()
        self.diary = Diary()

        self.slot_at = self.queue = self.counted = ""
        self.apart = alone
        self.behind = self.elsewhere = False
        self.current: Candidate | None = None
        self.answered = False
        self.trail = ""
        self.growing: Readable | None = None
        self.parts: tuple[Contribution, ...] = ()
        self._known: int | None = None
        self._thrown: set[object] = set()
        self.sizes: dict[str, int] = {}

        self.kept = True
        self.held: Held | None = None
        self.winner: Candidate | None = None
        self.brought_by = ""
        self.fault: Failure | None = None
        self._told: dict[Key, UpstreamFault] = {}
        self._changed = asyncio.Event()
        self.landed = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def key(self) -> str:
        return key_of(self.expected, alone=self.alone)

    @property
    def lead(self) -> str:
        return self.upstreams[0]

    @property
    def brief(self) -> bool:
        """Is it a document, which is small and which somebody who asked for a name waits for?"""
        return any(one.want.kind.document for one in self.candidates)

    def add(self, candidates: Sequence[Candidate]) -> None:
        self.candidates.add(candidates)
        self.wake()

    def takes_slot(self, member: str) -> None:
        """At this upstream, whose turn it is now."""
        self.slot_at = member
        self.candidates.begins_turn(member)

    # --- how far it is

    @property
    def due(self) -> int | None:
        """The size of the whole, as the lead's owner or its descriptors tell it; the largest where they differ."""
        stated = (one.due for one in self.candidates if one.member.name == self.lead)
        return max((size for size in (*stated, self.sizes.get(self.lead)) if size is not None), default=None)

    def reads(self, partial: Partial) -> None:
        self.grows(partial.growing, partial.parts)

    def grows(self, growing: Readable | None, parts: tuple[Contribution, ...], known: int | None = None) -> None:
        """Where the bytes are growing, and whose they are: all, or the first ``known``, where somebody else fills the
        file."""
        self.growing, self.parts, self._known = growing, parts, known
        if growing is not None:  # a file that nobody reads any more gives its identity to the next
            self._thrown.discard(growing.identity)
        self.wake()

    def forget(self) -> None:
        """What has arrived is wrong: nobody begins to read it any more."""
        if self.growing is not None:
            self._thrown.add(self.growing.identity)
        self.growing, self.parts = None, ()

    def has_thrown(self, readable: Readable) -> bool:
        return readable.identity in self._thrown

    def answers(self, candidate: Candidate, size: int | None) -> None:
        """It is sending, so that its repository may show these bytes; an owner's word on the size counts."""
        self.current, self.answered = candidate, True
        if candidate.source.owner and size is not None:
            self.sizes[candidate.member.name] = size

    @property
    def arrived(self) -> int:
        there = self.growing.size if self.growing is not None else 0
        return there if self._known is None else min(there, self._known)

    def land(self, held: Held, winner: Candidate | None, brought_by: str = "") -> None:
        """It is verified. ``winner`` is None where no source was asked here: another process or another flight brought
        it, or it had lain there."""
        self.held, self.winner, self.brought_by = held, winner, brought_by
        self.diary.heard("sent it")
        self.landed.set()
        self.wake()
        self._share(self)

    def wake(self) -> None:
        """Everyone who waits looks at what has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Whoever waits may see the failures so far: not before what the failed attempt left has been dealt with."""
        self._told = dict(self.candidates.failures)
        self.wake()

    # --- for who waits

    def changed(self) -> Coroutine[Any, Any, object]:
        """To be awaited: the first change after this call, also where it is awaited later."""
        return self._changed.wait()

    def settled(self, candidates: Sequence[Candidate]) -> Held | None:
        """The verified bytes, None while there is hope; raises Exhausted once all of ``candidates`` have failed, or
        this gateway's own failure (StoreFailed)."""
        if self.held is not None:
            return self.held
        if self.fault is not None:
            raise self.fault.with_traceback(None)  # that of who was told before
        failures = {one.key: self._told[one.key] for one in candidates if one.key in self._told}
        if len(failures) == len(candidates):
            raise _of_owners(candidates, failures)
        return None

    async def wait(self, candidates: Sequence[Candidate]) -> Held:
        """Until ``settled``."""
        while (held := self.settled(candidates)) is None:
            await self.changed()
        return held


def key_of(expected: Expected, *, alone: bool) -> str:
    """Equal for flights that may take what the others bring, and for those ``alone``."""
    return f"{expected.key} alone" if alone else expected.key


def _of_owners(candidates: Sequence[Candidate], failures: dict[Key, UpstreamFault]) -> Exhausted:
    """What a client is told is the owners' word: that a mirror lacks something, or is away, says nothing."""
    owners = [failures[one.key] for one in candidates if one.source.owner]
    mirrors = [failures[one.key] for one in candidates if not one.source.owner]
    return Exhausted(owners, aside=mirrors)
