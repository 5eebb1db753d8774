"""Whom a flight asks for bytes, and in which order. Pure.

Anybody may ask in the name of a thousand repositories that lack them, and leave: upstreams take turns, and of one those
repositories that are known to have them come first, then those in whose name somebody waits.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from apprproxy.core.errors import NoRoom, UpstreamFault, forget_calls
from apprproxy.core.kind import Kind
from apprproxy.core.label import Label
from apprproxy.core.model import BlobWant
from apprproxy.gateway.members.member import Member, Source

ATTEMPTS = 4
"""At a source that breaks off, in one flight, as long as it gets further: not every client goes on where a body broke
off."""

Key = tuple[str, str, str, str]
Scope = tuple[str, str]


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
    def key(self) -> Key:
        return (self.member.name, self.source.label, self.want.repository, self.want.kind)

    @property
    def label(self) -> Label:
        return Label(self.member.name, self.source.label)

    @property
    def scope(self) -> Scope:
        """In whose name it asks: an upstream and a repository there."""
        return (self.member.name, self.want.repository)


def in_their_name(asked: Candidate | None, theirs: Iterable[Candidate]) -> bool:
    """Is it in the name of who brought ``theirs`` that this one is asked, or was? Nobody is not."""
    return asked is not None and any(one.scope == asked.scope for one in theirs)


class Candidates:
    """Those of one flight, whoever brought them.

    - ``failures`` are those that are not asked again.
    - ``no_room`` has the upstreams that announced, or sent, more than there is room for. That so much is needed is
      their word alone, so that the others are still asked; they themselves only for clients to whom the bytes are
      passed on (``passing.py``).
    """

    def __init__(self) -> None:
        self._all: dict[Key, Candidate] = {}
        self.failures: dict[Key, UpstreamFault] = {}
        self.no_room: dict[str, NoRoom] = {}
        self._confirmed: set[Scope] = set()
        self._wanted: Counter[Scope] = Counter()
        self._distrusted: set[Source] = set()
        self._attempts: Counter[Key] = Counter()
        self._anew: set[Key] = set()
        self._turns: Counter[str] = Counter()
        self._has_turn = ""
        self._yielded = 0
        self._made_way: set[str] = set()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(tuple(self._all.values()))

    def add(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if candidate.key not in self._all:
                self._all[candidate.key] = candidate
                self._yielded = 0  # whoever has not been asked yet does not wait for the rest of a long turn

    def tries(self, scope: Scope, kind: Kind) -> bool:
        """Is this asked, or was it, in the name of that upstream and repository?"""
        return any(one.scope == scope and one.want.kind is kind for one in self._all.values())

    # --- for whom

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

    # --- in which order

    def next(self) -> Candidate | None:
        return next(iter(self.left), None)

    @property
    def left(self) -> Sequence[Candidate]:
        """Who may be asked yet, in order; owners before all mirrors once some of those are distrusted."""
        left = self._hopeful
        if self.no_room and self._made_way.issuperset(one.member.name for one in left):
            return ()  # none of them is waited for without end: what there is no room for can be passed on
        owners = [one for one in left if one.source.owner] if self._distrusted else []
        return sorted(owners or left, key=self._rank)

    def others(self, member: str) -> Sequence[Candidate]:
        """Of other upstreams, in whose name somebody waits."""
        return [one for one in self._hopeful if one.member.name != member and self._waits_for(one)]

    def in_order(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """As they are to be asked for what cannot be kept: whoever made way behind the others, whoever failed last."""
        return sorted(candidates, key=lambda one: (one.key in self.failures, one.member.name in self._made_way))

    @property
    def _hopeful(self) -> Sequence[Candidate]:
        """Those that have not failed, of upstreams for whose bytes there may be room."""
        return [
            one for key, one in self._all.items() if key not in self.failures and one.member.name not in self.no_room
        ]

    def _rank(self, candidate: Candidate) -> tuple[int, ...]:
        scope, member = candidate.scope, candidate.member.name
        others_turn = self._has_turn not in ("", member)
        return others_turn, self._turns[member], scope not in self._confirmed, not self._waits_for(candidate)

    def _waits_for(self, candidate: Candidate) -> bool:
        return self._wanted[candidate.scope] > 0

    # --- turns

    def begins_turn(self, member: str) -> None:
        """It is this upstream's until its owner has been asked once, or it makes way."""
        self._has_turn = member

    def yields(self, member: str) -> None:
        """It is another upstream's turn."""
        self._end_turn(member)
        self._yielded += 1
        self._made_way.add(member)

    @property
    def rounds(self) -> int:
        """How often one upstream made way for another."""
        return self._yielded

    def had_more_turns(self, one: Candidate, other: Candidate) -> bool:
        return self._turns[one.member.name] > self._turns[other.member.name]

    def _end_turn(self, member: str) -> None:
        self._turns[member] += 1
        self._has_turn = ""

    # --- what came of it

    def goes_on(self, candidate: Candidate) -> bool:
        """May one that broke off be asked for the rest? So often, and where no other source is left to ask in the name
        of the same repository: if this last one failed, so would all who wait in that name. Other upstreams have their
        turn first."""
        self._attempts[candidate.key] += 1
        alone = not any(one.scope == candidate.scope for one in self.left if one.key != candidate.key)
        if alone and self._attempts[candidate.key] < ATTEMPTS:
            self._end_turn(candidate.member.name)
            return True
        return False

    def may_begin_anew(self, candidate: Candidate) -> bool:
        """Whether it is asked for the whole once more, which this takes down: once, or a source that always breaks off
        is asked for ever."""
        before = candidate.key in self._anew
        self._anew.add(candidate.key)
        return not before

    def lacks_room(self, member: str, failure: NoRoom) -> None:
        forget_calls(failure)
        self.no_room[member] = failure

    def fail(self, candidate: Candidate, failure: UpstreamFault) -> None:
        forget_calls(failure)
        self.failures[candidate.key] = failure
        if candidate.source.owner:
            self._end_turn(candidate.member.name)

    def distrust(self, sources: Iterable[Source], failure: UpstreamFault) -> None:
        """None of these is asked again."""
        forget_calls(failure)
        self._distrusted.update(sources)
        self.failures |= {key: failure for key, one in self._all.items() if one.source in self._distrusted}
