"""Where a held name and its bytes came from: the owner, the sources, what was refused on the way.

- Nobody is asked: what is told is what is held.
- Only what a client could learn by pulling: the rules on names hold, and nothing is told of bytes that the repository
  may not show, of other repositories, or of accounts and addresses.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed, UnknownPlace
from apprproxy.core.kind import Kind
from apprproxy.core.model import Expected, FirstSeen, NameWant, Where
from apprproxy.core.ports.store import FirstSeens, Index
from apprproxy.core.reading import content
from apprproxy.core.spelling import Meaning
from apprproxy.core.threads import in_turn
from apprproxy.core.trace import Came, KeptBytes, Refusal, Traces
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.names.lookup import Named

MOST = 100
"""Digests told of one document, itself included."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A name as it was written, in the forms in which it may be remembered; ``meanings`` says what it means."""

    wants: Sequence[NameWant]
    meanings: Callable[[NameWant, Digest, bytes], Sequence[Meaning]]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes that a name leads to. ``kept`` is None where they are not held, or may not be ``shown`` there."""

    expected: Expected
    shown: bool
    kept: KeptBytes | None
    sources: Sequence[Came]


@dataclass(frozen=True, slots=True)
class Provenance:
    """``checked`` is when the owner last confirmed the name, ``since`` when it first said this digest: None of a name
    that is locked. ``cut``: the document names more than is told."""

    name: str
    owner: str
    protocol: str
    digest: Digest
    since: float | None
    checked: float | None
    first_seen: FirstSeen | None
    pinned: bool
    parts: Sequence[Part]
    cut: bool
    refused: Sequence[Refusal]


class Provenances:
    """``wanted`` parses a name and raises Malformed or UnknownPlace; ``member`` is an upstream by its name."""

    def __init__(
        self,
        gateway: Gateway,
        wanted: Callable[[str], Wanted],
        member: Callable[[str], Member],
        index: Index,
        seen: FirstSeens,
        traces: Traces,
    ) -> None:
        self._gateway = gateway
        self._wanted = wanted
        self._member = member
        self._index = index
        self._seen = seen
        self._traces = traces
        self._turn = asyncio.Lock()

    async def of(self, name: str) -> Provenance:
        """Raises UnknownPlace where nothing is or can be held of it, Denied, or Malformed: it means several."""
        try:
            wanted = self._wanted(name)
        except Malformed as never:
            raise UnknownPlace(f"nothing can be held of that: {never}") from None
        for want in wanted.wants:
            if (named := await self._gateway.recall(want)) is not None and named.held is not None:
                meant, below = await in_turn(self._turn, self._read, wanted, want, named)
                return await self._told(want, named, meant, below)
        raise UnknownPlace("nothing is held of a name like that; pull it first")

    def _read(self, wanted: Wanted, want: NameWant, named: Named) -> tuple[Meaning, tuple[Expected, ...]]:
        """What the document means and names, one document at a time. Blocking."""
        document = content(named.document)
        meant = _only(wanted.meanings(want, named.record.target.digest, document), want)
        children = self._member(named.record.origin).dialect.children
        return meant, tuple(children(document)[:MOST]) if want.kind is Kind.TAG else ()

    async def _told(self, want: NameWant, named: Named, meant: Meaning, below: Sequence[Expected]) -> Provenance:
        record = named.record
        member = self._member(record.origin)
        where = member.where(want.repository)
        if below and not await self._index.shows(where, meant.expected.key):
            below = ()  # another account's document, under a name that was remembered since
        all_of_it = list(dict.fromkeys((meant.expected, *below)))
        first = await self._first_seen(member.name, meant)
        parts = [await self._part(where, expected) for expected in all_of_it[:MOST]]
        return Provenance(
            f"{member.name}/{meant.title}",
            member.name,
            want.place.protocol,
            meant.expected.digest,
            record.since if member.locked is None else None,
            record.checked if member.locked is None else None,
            first,
            await self._traces.pinned(f"{member.name}/{meant.title}", record.target.digest),
            parts,
            len(all_of_it) > MOST,
            self._traces.refused(member.name, (meant.title, meant.alias, *_subjects(parts))),
        )

    async def _first_seen(self, upstream: str, meant: Meaning) -> FirstSeen | None:
        """Of what its title stands for, or of its alias, where that stands for something else."""
        seen = await self._seen.first_seen(upstream, [meant.title, meant.alias])
        title, alias = seen.get(meant.title), seen.get(meant.alias)
        if alias is None or (title is not None and title.digest == alias.digest and alias.moved_to is None):
            return title
        return alias

    async def _part(self, where: Where, expected: Expected) -> Part:
        if not await self._index.shows(where, expected.key):
            return Part(expected, shown=False, kept=None, sources=())
        kept, sources = await self._traces.kept(expected), await self._traces.sources(where, expected)
        return Part(expected, shown=True, kept=kept, sources=sources)


def _subjects(parts: Iterable[Part]) -> list[str]:
    """Nothing is told of what was refused on the way to bytes that are somebody else's."""
    return [str(part.expected.digest) for part in parts if part.shown]


def _only(meanings: Sequence[Meaning], want: NameWant) -> Meaning:
    """A release of several formats is several names."""
    if len(meanings) != 1:
        titles = ", ".join(one.title for one in meanings) or "none"
        raise Malformed(f"{want.repository} has not one format there: say which of {titles}")
    return meanings[0]
