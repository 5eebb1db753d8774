"""One upstream's list: read from its file, asked for anew when somebody searches and it is old, and kept.

- Nobody is asked before a client searches, and not again within ``interval``; what is known answers meanwhile. While
  clients search now and then, lists are renewed behind them (``Search``).
- An upstream that fails is answered for by its last list. One that may not be asked any more has none.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from cachetools import LRUCache

from apprproxy.core.errors import Denied, Failure, NotOffered, NotThere, StoreFailed
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.listing import Facts, Listed, ListReader
from apprproxy.core.model import MIB, Cache, Clock, NameWant, Place
from apprproxy.core.ports.store import Held
from apprproxy.core.reading import content
from apprproxy.core.threads import unhurried
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.names.lookup import Named
from apprproxy.search.corpus import Corpus
from apprproxy.search.listing import BadListing, Listing, State, dump, load

AGAIN = 10.0
"""Seconds between two questions for a list at the least, however short its ``fresh_for``, and after a failure."""

OLD = 86_400.0
"""Seconds after which a list is waited for like one of which nothing is known: nobody has searched for a day."""

LEARNED = 4 * MIB
"""About as many bytes of what is known of an upstream's names beyond what its list says: of 10,000 that have a few
channels. Those shown last stay."""


class Kept(Protocol):
    """Files that survive a restart, one for each upstream. Blocking; raises StoreFailed."""

    def load(self, name: str) -> bytes | None: ...

    def save(self, name: str, content: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Searched:
    """An upstream, as it is searched. ``stamp`` changes with the place and the account behind the name, and with whose
    word is taken for its names: then what was kept is not its list."""

    name: str
    lists: ListReader
    stamp: str
    fresh_for: float


class Keeper:
    def __init__(self, searched: Searched, gateway: Gateway, kept: Kept, observer: Observer, now: Clock) -> None:
        self.searched = searched
        self.listing = Listing()
        self.facts: LRUCache[str, Facts] = LRUCache(LEARNED, getsizeof=_weight)
        self._gateway = gateway
        self._kept = kept
        self._observer = observer
        self._now = now
        self._tried: float | None = None
        self._since: float | None = None
        self._in_vain = False
        self._loading: asyncio.Lock = asyncio.Lock()
        self._loaded = False
        self._refreshing: asyncio.Task[None] | None = None
        self._saved = True

    @property
    def interval(self) -> float:
        return max(self.searched.fresh_for, AGAIN)

    def worth(self, patience: float) -> float:
        """Seconds that a search should wait for what is under way: none where something young is known, and so many in
        all, however many searches there are, where not. One that has failed is not waited for again."""
        checked = self.listing.checked
        young = checked is not None and abs(self._now() - checked) < OLD
        none = self.listing.state in (State.NOT_OFFERED, State.REFUSED)
        if young or none or self._in_vain or self._since is None:
            return 0.0
        return self._since + patience - asyncio.get_running_loop().time()

    @property
    def place(self) -> Place:
        return Place.of(self.searched.name, self.searched.lists.protocol)

    def described(self, thing: Listed) -> Listed:
        """With what was learned since it was listed."""
        facts = self.facts.get(thing.name)
        if facts is None:
            return thing
        return Listed(
            thing.name,
            thing.latest if facts.latest is None else facts.latest,
            thing.versions if facts.versions is None else facts.versions,
            thing.formats,
            thing.channels if facts.channels is None else facts.channels,
        )

    def learn(self, name: str, facts: Facts) -> None:
        before = self.facts.get(name, Facts())
        self.facts[name] = Facts(
            before.latest if facts.latest is None else facts.latest,
            before.versions if facts.versions is None else facts.versions,
            before.channels if facts.channels is None else facts.channels,
        )
        self._saved = False

    # --- the list

    @property
    def begun(self) -> bool:
        """Has it been asked for?"""
        return self._tried is not None

    async def begin(self) -> asyncio.Task[None] | None:
        """What is under way to know the list; None where what is known is young enough."""
        async with self._loading:
            if not self._loaded:
                await self._load()
                self._loaded = True
        due = self._tried is None or abs(self._now() - self._tried) >= (self.interval if self._healthy else AGAIN)
        if self._refreshing is None and due:
            self._tried, self._since = self._now(), asyncio.get_running_loop().time()
            self._refreshing = asyncio.create_task(self._refresh(), name=f"search list of {self.searched.name}")
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    @property
    def _healthy(self) -> bool:
        return self.listing.state not in (State.STALE, State.UNKNOWN)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and (crash := task.exception()) is not None:
            self._trouble(str(crash))

    async def _refresh(self) -> None:
        want = NameWant(self.place, self.searched.lists.listing)
        try:
            (answer,) = await self._gateway.survey(want)
        except Denied as refusal:
            self._without(refusal)
        else:
            self._in_vain = answer.named is None
            if answer.named is not None:
                await self._take(answer.named)
            else:
                self._without(answer.failure)
        await self.save()

    def _without(self, failure: Failure | None) -> None:
        match failure:
            case NotOffered():
                self._drop(State.NOT_OFFERED)
            case NotThere() as no if no.passes_on:
                self._drop(State.LISTED)
            case Denied():
                self._drop(State.REFUSED)
            case _ if self.listing.checked is not None:
                self.listing = replace(self.listing, state=State.STALE)
            case _:
                pass

    def _drop(self, state: State) -> None:
        had = len(self.listing.corpus)
        self.listing = Listing(state=state, checked=self._now() if state is State.LISTED else None)
        self._saved = self._saved and not had

    async def _take(self, named: Named) -> None:
        document = str(named.document.digest)
        state = State.STALE if named.verdict.cache is Cache.STALE else State.LISTED
        corpus = self.listing.corpus
        if document != self.listing.document:
            corpus = await unhurried(self._read, named.document)
            self._saved = False
        self.listing = Listing(corpus, state, document, named.record.checked)

    def _read(self, document: Held) -> Corpus:
        return Corpus(self._allowed(self.searched.lists.listed(content(document))))

    def _allowed(self, things: Iterable[Listed]) -> Iterable[Listed]:
        """Without what the rules on names take from it."""
        name = self.searched.name
        if not self._gateway.refuses_some(name):
            return things
        return (thing for thing in things if self._gateway.admits(name, thing.name))

    # --- its file

    async def _load(self) -> None:
        try:
            raw = await asyncio.to_thread(self._kept.load, self.searched.name)
            if raw is not None:
                await asyncio.to_thread(self._restore, raw)
        except BadListing:
            pass  # another version's, or another upstream's of that name
        except StoreFailed as failure:
            self._trouble(str(failure))

    def _restore(self, raw: bytes) -> None:
        things, facts, document, checked = load(raw, self.searched.stamp)
        self.listing = Listing(Corpus(self._allowed(things)), State.STALE, document, checked)
        self.facts.update(facts)

    async def save(self) -> None:
        """Nothing, where the file has all of it."""
        if self._saved or not self._loaded:
            return
        self._saved = True
        listing, facts = self.listing, dict(self.facts)
        try:
            await asyncio.to_thread(self._write, listing, facts)
        except StoreFailed as failure:
            self._trouble(str(failure))

    def _write(self, listing: Listing, facts: dict[str, Facts]) -> None:
        self._kept.save(self.searched.name, dump(listing, facts, self.searched.stamp))

    def _trouble(self, reason: str) -> None:
        self._observer(Trouble("search", self.searched.name, "the list", reason))

    async def close(self) -> None:
        if (task := self._refreshing) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self.save()


def _weight(facts: Facts) -> int:
    """In memory, and more than in its file."""
    return 200 + sum(60 + len(channel) for channel in facts.channels or ())
