"""The search: who of the members has names that match, ranked together, and who could not tell."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from apprproxy.core.errors import UnknownPlace
from apprproxy.core.listing import Listed
from apprproxy.core.model import Clock
from apprproxy.core.one_by_one import OneByOne
from apprproxy.search.corpus import Hit, Match
from apprproxy.search.keeper import Keeper
from apprproxy.search.learning import Learning
from apprproxy.search.listing import State
from apprproxy.search.query import Query

PATIENCE = 5.0
"""Seconds that searches wait for lists of which nothing is known; they are answered from the others then."""

TURN = 10.0
"""Seconds that a search waits for others, before whoever wants it is told to come back after as many."""

EVERY = 300.0
"""Seconds between two looks whether lists have grown old, behind the searches."""

INTEREST = 86_400.0
"""Seconds after the last search in which that goes on: a gateway that nobody searches asks nobody."""


_THREAD = ThreadPoolExecutor(1, "search")
"""Several would leave the event loop a fraction of the interpreter."""


@dataclass(frozen=True, slots=True)
class Result:
    match: Match
    upstream: str
    protocol: str
    thing: Listed


@dataclass(frozen=True, slots=True)
class Source:
    """How it stands with one upstream's list: ``checked`` is when it was last confirmed, in seconds since the epoch;
    ``cut`` where it has more names than are kept."""

    upstream: str
    protocol: str
    state: State
    names: int
    cut: bool
    checked: float | None


@dataclass(frozen=True, slots=True)
class Results:
    """``more``: there are others that match."""

    results: tuple[Result, ...]
    sources: tuple[Source, ...]
    more: bool

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(source.upstream for source in self.sources if source.state.missing)


class Search:
    """``views`` are the members of each view; the view ``default`` is searched where none is named, or all upstreams
    where there is none. ``close`` when done."""

    def __init__(
        self,
        keepers: Mapping[str, Keeper],
        views: Mapping[str, Sequence[str]],
        learning: Learning,
        now: Clock,
        patience: float = PATIENCE,
    ) -> None:
        self._keepers = keepers
        self._views = views
        self._learning = learning
        self._now = now
        self._patience = patience
        self._turns = OneByOne(TURN, "too many searches at once; ask again", _THREAD)
        self._searched: float | None = None
        self._renewing: asyncio.Task[None] | None = None

    def members(self, view: str) -> tuple[str, ...]:
        """Raises UnknownPlace."""
        if not view:
            return tuple(self._views.get("default", self._keepers))
        if view in self._views:
            return tuple(self._views[view])
        if view in self._keepers:
            return (view,)
        raise UnknownPlace(f"there is no view or upstream {view[:80]!r} here")

    async def find(self, query: Query) -> Results:
        """Raises UnknownPlace, Crowded."""
        names = self.members(query.view)
        self._searched = self._now()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_on(), name="search lists")
        chosen = [self._keepers[name] for name in names]
        chosen = [one for one in chosen if query.protocol in ("", one.searched.lists.protocol)]
        await self._ready(chosen)
        apart = not query.view and "default" not in self._views
        found = await self._ranked(query.view, chosen, query.text, query.limit + 1, apart=apart)
        results = tuple(self._result(keeper, hit) for keeper, hit in found[: query.limit])
        return Results(results, tuple(map(_source, chosen)), len(found) > query.limit)

    async def _ranked(
        self, view: str, keepers: Sequence[Keeper], text: str, limit: int, *, apart: bool
    ) -> list[tuple[Keeper, Hit]]:
        """With a list that has come meanwhile it is another search."""
        lists = tuple((keeper.searched.name, keeper.listing.corpus) for keeper in keepers)
        return await self._turns.aside(
            view, (lists, text, limit, apart), partial(ranked, keepers, text, limit, apart=apart)
        )

    async def _ready(self, keepers: Iterable[Keeper]) -> None:
        """Lists are asked for behind the answer; those of which nothing is known, or nothing of today, are waited
        for."""
        begun = [(keeper, await keeper.begin()) for keeper in keepers]
        waited = [(task, keeper.worth(self._patience)) for keeper, task in begun if task is not None]
        waited = [(task, worth) for task, worth in waited if worth > 0]
        if waited:
            await asyncio.wait([task for task, _ in waited], timeout=max(worth for _, worth in waited))

    async def _renew_on(self) -> None:
        """As long as somebody searches now and then."""
        wanted = True
        while wanted:
            await asyncio.sleep(EVERY)
            wanted = await self.renew()
        self._renewing = None

    async def renew(self) -> bool:
        """Ask for the lists that have grown old, of upstreams that were searched; False where nobody searches any
        more."""
        if self._searched is None or abs(self._now() - self._searched) >= INTEREST:
            return False
        for keeper in self._keepers.values():
            if keeper.begun:
                await keeper.begin()
        return True

    def _result(self, keeper: Keeper, hit: Hit) -> Result:
        self._learning.want(keeper, hit.thing)
        searched = keeper.searched
        return Result(hit.match, searched.name, searched.lists.protocol, keeper.described(hit.thing))

    async def rest(self) -> None:
        """Until what was found has been asked about, as far as it may be; for twice as long as lists are waited for."""
        await self._learning.rest(2 * self._patience)

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._learning.close()
        for keeper in self._keepers.values():
            await keeper.close()


def ranked(keepers: Sequence[Keeper], text: str, limit: int, *, apart: bool) -> list[tuple[Keeper, Hit]]:
    """The best of all, then by name, then in the order of the members. Of a view the first that has a name owns it;
    ``apart``: every upstream's counts."""
    found: list[tuple[Match, str, int]] = []
    hits: dict[tuple[str, int], Hit] = {}
    for number, keeper in enumerate(keepers):
        before = [] if apart else [one for one in keepers[:number] if _alike(one, keeper)]
        for hit in keeper.listing.corpus.find(text, limit):
            if not any(one.listing.corpus.has(hit.thing.name) for one in before):
                found.append((hit.match, hit.thing.name, number))
                hits[hit.thing.name, number] = hit
    return [(keepers[number], hits[name, number]) for _, name, number in sorted(found)[:limit]]


def _alike(one: Keeper, other: Keeper) -> bool:
    return one.searched.lists.protocol == other.searched.lists.protocol


def _source(keeper: Keeper) -> Source:
    listing, searched = keeper.listing, keeper.searched
    corpus = listing.corpus
    return Source(searched.name, searched.lists.protocol, listing.state, len(corpus), corpus.cut, listing.checked)
