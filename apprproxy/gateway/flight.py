"""At most one transfer of a digest for those who ask the same upstreams, however many; and failure is never shared.

- A flight has candidates, tried one after the other. Whoever joins adds its own (another repository, and what else of
  a view may have it).
- A waiter is told of success, or of the failure of *its own* candidates: another repository's 404 is not its 404.
- A waiter that leaves ends only its own wait; the flight goes on.
- Those who would ask other upstreams, or in another order, have a flight of their own (``guest.py``).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from apprproxy.core.errors import Exhausted, Failure, Lied, NoRoom, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Contribution, Expected
from apprproxy.core.ports.store import Held, Partial, Readable
from apprproxy.gateway.diary import Diary
from apprproxy.gateway.evidence import Evidence, Sent
from apprproxy.gateway.member import Member, Source

ATTEMPTS = 4
"""At a source that breaks off, in one flight, as long as it gets further: not every client goes on where a body broke
off."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source to ask, in one repository. ``due`` is the size of the whole, where a descriptor or the owner told it.

    Candidates of one key ask the same question.
    """

    member: Member
    source: Source
    want: BlobWant
    due: int | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.member.name, self.source.label, self.want.repository, self.want.kind)

    @property
    def scope(self) -> tuple[str, str]:
        """In whose name it asks: an upstream and a repository there."""
        return (self.member.name, self.want.repository)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A mirror that may have lied: by what it ``sent``, by contradicting the size that was ``due``, or by the size that
    it ``claimed``, of which one is given. The right bytes decide."""

    upstream: str
    source: Source
    lie: Lied
    sent: Sequence[Sent] = ()
    due: int | None = None
    claimed: int | None = None


class Flight:
    """One transfer.

    - ``upstreams`` are those that everybody who joins would ask, in this order, and ``lead`` the first; ``place`` is
      the one of whose transfers this is one now, and ``queue`` the one at whom it waits for that; ``counted`` is
      the one among whose transfers, of all that there may be, it is for as long as it lasts.
    - ``behind`` says that it waits for somebody else's transfer, ``apart`` that the file that all share is another's.
    - ``growing`` is what has arrived and ``parts`` whose bytes these are; ``sizes`` is what each upstream's owner
      announced.
    - ``answered`` says that a source has begun to send, ``elsewhere`` that another process fills it, or another
      upstream's flight; ``kept`` that the disk takes it, as far as is known.
    - ``no_room`` is of upstreams that announced, or sent, more than there is room for: that so much is needed is their
      word alone, and the others are asked yet. They are not again, but by whoever is passed the bytes.
    - ``suspects`` are mirrors of whose bytes some were wrong, nobody knows which; ``disagreed`` those that had another
      size than was due, or less than was there.
    """

    def __init__(
        self, expected: Expected, upstreams: tuple[str, ...], share: Callable[["Flight"], None] = lambda _: None
    ) -> None:
        """``share`` is told when it has landed."""
        self.expected = expected
        self._share = share
        self.upstreams = upstreams
        self.behind = self.apart = False
        self.held: Held | None = None
        self.winner: Candidate | None = None
        self.current: Candidate | None = None
        self.elsewhere = False
        self.kept = True
        self.growing: Readable | None = None
        self.parts: tuple[Contribution, ...] = ()
        self._known: int | None = None
        self.sizes: dict[str, int] = {}
        self.suspects: dict[Source, Suspect] = {}
        self.disagreed: list[Suspect] = []
        self._confirmed: set[tuple[str, str]] = set()
        self._wanted: Counter[tuple[str, str]] = Counter()
        self.place = self.queue = self.counted = self._preferred = ""
        self._attempts: Counter[tuple[str, str, str, str]] = Counter()
        self._had: Counter[str] = Counter()
        self._yielded = 0
        self._made_way: set[str] = set()
        self._spared: set[tuple[str, str, str, str]] = set()
        self.no_room: dict[str, NoRoom] = {}
        self.before = ""
        self.diary = Diary()
        self.answered = False
        self.fault: Failure | None = None
        self.failures: dict[tuple[str, str, str, str], UpstreamFault] = {}
        self._told: dict[tuple[str, str, str, str], UpstreamFault] = {}
        self._candidates: dict[tuple[str, str, str, str], Candidate] = {}
        self._thrown: set[object] = set()
        self._changed = asyncio.Event()
        self.landed = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def lead(self) -> str:
        return self.upstreams[0]

    @property
    def brief(self) -> bool:
        """Is it a document, which is small and which somebody who asked for a name waits for?"""
        return any(one.want.kind.document for one in self._candidates.values())

    # --- what it tries

    def add(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if candidate.key not in self._candidates:
                self._candidates[candidate.key] = candidate
                self._yielded = 0  # whoever has not been asked yet does not wait for the rest of a long turn
        self.wake()

    def confirm(self, candidates: Sequence[Candidate]) -> None:
        """It is known that these repositories have it: they are asked before all others."""
        self._confirmed |= {one.scope for one in candidates}

    def joined_by(self, candidates: Sequence[Candidate]) -> None:
        """Somebody waits, in the name of these; ``left_by`` when it does not any more."""
        self._wanted.update({one.scope for one in candidates})

    def left_by(self, candidates: Sequence[Candidate]) -> None:
        self._wanted.subtract({one.scope for one in candidates})

    @property
    def wanted(self) -> bool:
        return self._wanted.total() > 0

    def takes_place(self, member: str) -> None:
        """At this upstream, whose turn it is until its owner has been asked once, or makes way."""
        self.place = self._preferred = member

    @property
    def rounds(self) -> int:
        """How often one upstream made way for another."""
        return self._yielded

    def others(self, member: str) -> Sequence[Candidate]:
        """Of other upstreams, in whose name somebody waits."""
        return [one for one in self._hopeful if one.member.name != member and self._waits_for(one)]

    @property
    def _hopeful(self) -> Sequence[Candidate]:
        """Those that have not failed, of upstreams for whose bytes there may be room."""
        return [
            one
            for key, one in self._candidates.items()
            if key not in self.failures and one.member.name not in self.no_room
        ]

    def yields(self, member: str) -> None:
        """It is another upstream's turn."""
        self._end_turn(member)
        self._yielded += 1
        self._made_way.add(member)

    def had_more_turns(self, one: Candidate, other: Candidate) -> bool:
        return self._had[one.member.name] > self._had[other.member.name]

    def _end_turn(self, member: str) -> None:
        self._had[member] += 1
        self._preferred = ""

    def _waits_for(self, candidate: Candidate) -> bool:
        return self._wanted[candidate.scope] > 0

    def tries(self, scope: tuple[str, str], kind: Kind) -> bool:
        """Is this asked, or was it, in the name of that upstream and repository?"""
        return any(one.scope == scope and one.want.kind is kind for one in self._candidates.values())

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(self._candidates.values())

    def next(self) -> Candidate | None:
        """The first candidate that has not failed; an owner before all mirrors once some of those are suspect.

        Anybody may ask in the name of a thousand repositories that lack it, and leave: upstreams alternate, and of one
        those that are known to have it come first, then those in whose name somebody waits."""
        return next(iter(self.left), None)

    @property
    def left(self) -> Sequence[Candidate]:
        """Who may be asked yet, in order."""
        left = self._hopeful
        if self.no_room and self._made_way.issuperset(one.member.name for one in left):
            return ()  # none of them is waited for without end: what there is no room for can be passed on
        owners = [one for one in left if one.source.owner] if self.suspects else []
        return sorted(owners or left, key=self._rank)

    def in_order(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """As they are to be asked for what cannot be kept: last those that failed, before them who made way."""
        return sorted(candidates, key=lambda one: (one.key in self.failures, one.member.name in self._made_way))

    def _rank(self, candidate: Candidate) -> tuple[int, ...]:
        scope, member = candidate.scope, candidate.member.name
        others_turn = self._preferred not in ("", member)
        return others_turn, self._had[member], scope not in self._confirmed, not self._waits_for(candidate)

    def goes_on(self, candidate: Candidate) -> bool:
        """Whether one that broke off is asked for the rest: so often, and where no other source is left to ask in the
        same name: else who waits in that one fails where it would not, alone. Other upstreams have their turn before.
        """
        self._attempts[candidate.key] += 1
        alone = not any(one.scope == candidate.scope for one in self.left if one.key != candidate.key)
        if alone and self._attempts[candidate.key] < ATTEMPTS:
            self._end_turn(candidate.member.name)
            return True
        return False

    def fail(self, candidate: Candidate, failure: UpstreamFault) -> None:
        """``tell`` it later: nobody hears of a failure before what came of it is gone."""
        self.failures[candidate.key] = failure
        if candidate.source.owner:
            self._end_turn(candidate.member.name)

    def doubt(self, mirrors: Sequence[Candidate], lie: Lied, evidence: Evidence) -> None:
        """Some of these sent wrong bytes: none is asked again, and the right bytes are to say which it was."""
        for one in mirrors:
            sent = evidence.get((one.member.name, one.source.label), ())
            self.suspects[one.source] = Suspect(one.member.name, one.source, lie, sent)
        for key, candidate in self._candidates.items():
            if candidate.source in self.suspects:
                self.failures[key] = lie

    def disagree(self, candidate: Candidate, due: int, lie: Lied) -> None:
        """It has another size; who is wrong is known once the bytes are right."""
        if not candidate.source.owner:
            self.disagreed.append(Suspect(candidate.member.name, candidate.source, lie, due=due))
        self.fail(candidate, lie)

    def claims(self, candidate: Candidate, size: int | None, lie: Lied) -> None:
        """It says that the whole is of this size, which does not fit what others sent."""
        if not candidate.source.owner and size is not None:
            self.disagreed.append(Suspect(candidate.member.name, candidate.source, lie, claimed=size))

    def spare(self, candidate: Candidate) -> bool:
        """Whether it may send the whole once more: once, or a source that always breaks off is asked for ever."""
        spared = candidate.key in self._spared
        self._spared.add(candidate.key)
        return not spared

    # --- how far it is

    @property
    def due(self) -> int | None:
        """The size of the whole, where the lead or a descriptor of its has told it; the largest where several have."""
        stated = (one.due for one in self._candidates.values() if one.member.name == self.lead)
        return max((size for size in (*stated, self.sizes.get(self.lead)) if size is not None), default=None)

    def reads(self, partial: Partial) -> None:
        self.grows(partial.growing, partial.parts)

    def grows(self, growing: Readable | None, parts: tuple[Contribution, ...], known: int | None = None) -> None:
        """Where the bytes are growing, and whose they are; of so many of them, where somebody else fills the file."""
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

    def land(self, held: Held, winner: Candidate | None) -> None:
        """Verified. ``winner`` None: nobody was asked for it here, but another process, another flight, or before."""
        self.held, self.winner = held, winner
        self.diary.heard("sent it")
        self.landed.set()
        self.wake()
        self._share(self)

    def wake(self) -> None:
        """Everyone who waits looks at what has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """The failures so far, to those whom they concern."""
        self._told = dict(self.failures)
        self.wake()

    # --- for who waits

    async def _next_change(self, change: asyncio.Event) -> None:
        await change.wait()

    def changed(self) -> Coroutine[None, None, None]:
        """To be awaited: the first change after this call, also where it is awaited later."""
        return self._next_change(self._changed)

    def settled(self, candidates: Sequence[Candidate]) -> Held | None:
        """The verified bytes, None while there is hope; raises Exhausted once all of ``candidates`` have failed, or
        this gateway's own failure (StoreFailed)."""
        if self.held is not None:
            return self.held
        if self.fault is not None:
            raise self.fault
        failures = {one.key: self._told[one.key] for one in candidates if one.key in self._told}
        if len(failures) == len(candidates):
            raise _of_owners(candidates, failures)
        return None

    async def wait(self, candidates: Sequence[Candidate]) -> Held:
        """Until ``settled``."""
        while (held := self.settled(candidates)) is None:
            await self.changed()
        return held


def _of_owners(candidates: Sequence[Candidate], failures: dict[tuple[str, str, str, str], UpstreamFault]) -> Exhausted:
    """What a client is told is the owners' word: that a mirror lacks something, or is away, says nothing."""
    owners = [failures[one.key] for one in candidates if one.source.owner]
    mirrors = [failures[one.key] for one in candidates if not one.source.owner]
    return Exhausted(owners, aside=mirrors)
