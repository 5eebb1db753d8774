"""Which mirrors may have lied in a flight; the right bytes decide, once they are here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apprproxy.core.errors import Lied
from apprproxy.core.ports.store import Readable
from apprproxy.gateway.flights.candidates import Candidate
from apprproxy.gateway.flights.evidence import Evidence, Sent, refuted
from apprproxy.gateway.members.member import Source


@dataclass(frozen=True, slots=True)
class Suspect:
    """A mirror, to be judged by what it ``sent``, by the ``due`` size that it contradicted, by the size that it
    ``claimed``, or by how many bytes there are at ``least`` if it is right: one of the four is given."""

    upstream: str
    source: Source
    lie: Lied
    sent: Sequence[Sent] = ()
    due: int | None = None
    claimed: int | None = None
    least: float = 0

    async def is_refuted_by(self, right: Readable) -> bool:
        other_size = right.size == self.due or self.claimed not in (None, right.size)
        return other_size or right.size < self.least or await refuted(self.sent, right)


class Suspicion:
    def __init__(self) -> None:
        self._mixed: dict[Source, Suspect] = {}
        self._disagreed: list[Suspect] = []

    def __iter__(self) -> Iterator[Suspect]:
        return iter((*self._disagreed, *self._mixed.values()))

    def mixed(self, mirrors: Sequence[Candidate], lie: Lied, evidence: Evidence) -> None:
        """Some of these sent wrong bytes, nobody knows which."""
        for one in mirrors:
            sent = evidence.get(one.label, ())
            self._mixed[one.source] = Suspect(one.member.name, one.source, lie, sent)

    def disagrees(self, candidate: Candidate, due: int, lie: Lied) -> None:
        """It has another size than is due."""
        self._note(candidate, Suspect(candidate.member.name, candidate.source, lie, due=due))

    def claims(self, candidate: Candidate, size: int | None, lie: Lied) -> None:
        """It says that the whole is of this size, which does not fit what others sent."""
        if size is not None:
            self._note(candidate, Suspect(candidate.member.name, candidate.source, lie, claimed=size))

    def exceeds(self, candidate: Candidate, least: float, lie: Lied) -> None:
        """It has more than is taken here, or what is of a sort that is not."""
        self._note(candidate, Suspect(candidate.member.name, candidate.source, lie, least=least))

    def _note(self, candidate: Candidate, suspect: Suspect) -> None:
        if not candidate.source.owner:
            self._disagreed.append(suspect)
