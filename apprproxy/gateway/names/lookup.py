"""A name at one upstream: fresh, revalidated, or stale while its owner cannot be asked.

- At most one question per name is under way; everyone but the first is given the stale answer or waits for the first.
- A question goes on behind a stale answer and behind a caller that left; it is bounded by the upstream's own time.
- A failed refresh is not repeated for ``missing_for`` while something stale can be served.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from apprproxy.core.errors import (
    DigestMismatch,
    Failure,
    Interrupted,
    NotHeld,
    NotOffered,
    NotThere,
    Outage,
    Shut,
    StoreFailed,
    TooSlow,
    UpstreamFault,
)
from apprproxy.core.events import LieCaught, Observer, Trouble, trouble_of
from apprproxy.core.label import OWNER
from apprproxy.core.model import Cache, Clock, Descriptor, Expected, Found, NameWant, Record, Verdict, spoken
from apprproxy.core.ports.store import Held
from apprproxy.core.ports.upstream import Locked
from apprproxy.gateway.diary import Tried
from apprproxy.gateway.kept.fresh import Serve, decide, stale
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.health import PROBED_BY
from apprproxy.gateway.members.member import Member, ask
from apprproxy.gateway.members.pile import Pile, piled
from apprproxy.gateway.names.landing import FetchManifest, Landed, Landing
from apprproxy.gateway.names.settling import Settling
from apprproxy.gateway.transfer import Brought
from apprproxy.gateway.waits import not_counted

log = logging.getLogger(__name__)

AT_ONCE = 0.02
"""Seconds. Enough to hear that an upstream is shut, too little to notice: something stale is at hand."""


@dataclass(frozen=True, slots=True)
class Named:
    """A name's answer: where it points and how that came about.

    ``held`` is the document it points at; None only for what is ``bodiless``: it need not be here. ``tried`` is whom
    the document was waited for, where it was fetched now.
    """

    record: Record
    verdict: Verdict
    held: Held | None
    tried: Sequence[Tried] = ()

    @property
    def document(self) -> Held:
        assert self.held is not None
        return self.held


class Lookups:
    """``offline``: nobody is ever asked."""

    def __init__(self, shelf: Shelf, fetch: FetchManifest, observer: Observer, now: Clock, *, offline: bool) -> None:
        self._shelf = shelf
        self._settling = Settling(shelf.first_seen)
        self._landing = Landing(shelf, fetch, observer)
        self._observer = observer
        self._now = now
        self.offline = offline
        self._running: dict[str, asyncio.Task[Named]] = {}

    async def find(self, member: Member, want: NameWant, *, again: bool) -> Named:
        """Raises NotThere for an authoritative *no*, another UpstreamFault for an outage, NotHeld when offline, Denied
        for a name that a lock file has not."""
        if member.locked is not None and not want.kind.by_digest:
            return await self._from_lock(member, want, member.locked)
        old = await self._remembered(member, want)
        decision = decide(old.record if old else None, member.terms, self._now(), again=again, offline=self.offline)
        if isinstance(decision, Serve):
            assert old is not None
            return replace(old, verdict=decision.verdict)
        if self.offline:
            raise NotHeld(f"{member.name}: offline, and {spoken(want.key)} is not held")
        miss = await self._shelf.misses.recall(member, want.key, again=again)
        if isinstance(miss, NotThere):
            return self._despite(member, want, old, miss)
        if old is not None and decision.may_serve:
            return await self._refreshed(member, want, old, again=again)
        joined = self._key(member, want) in self._running
        try:
            named = await self._answered(member, want, self._question(member, want, old))
        except NotThere as denial:
            return self._despite(member, want, old, denial)
        return replace(named, verdict=replace(named.verdict, cache=Cache.COLLAPSED)) if joined else named

    @staticmethod
    async def _answered(member: Member, want: NameWant, question: asyncio.Task[Named]) -> Named:
        """The question goes on if its caller leaves; and behind a caller who is told to come back, since the upstream,
        or what of it is asked about, was shut a moment ago and may still be away."""
        if not member.health.doubts(want.about):
            return await asyncio.shield(question)
        done, _ = await asyncio.wait([question], timeout=PROBED_BY)
        if not done:
            raise member.health.probing(want.about)
        return question.result()

    async def recall(self, member: Member, want: NameWant) -> Named | None:
        """What is held of the name, of whatever age, without asking anybody; raises Denied as ``find`` does."""
        if member.locked is None:
            return await self._remembered(member, want)
        target = (await asyncio.to_thread(member.locked.find, want)).target
        held = await self._shelf.blobs.find(Expected(target.digest))
        return None if held is None else Named(self._record(member, None, target), Verdict(Cache.HIT), held)

    def is_fresh(self, member: Member, record: Record) -> bool:
        return isinstance(decide(record, member.terms, self._now(), again=False, offline=self.offline), Serve)

    async def _from_lock(self, member: Member, want: NameWant, locked: Locked) -> Named:
        """The name as the lock file has it, and never as it is remembered: what was remembered may be the upstream's
        word, from before it was locked."""
        found = await asyncio.to_thread(locked.find, want)  # a lock file that has changed is read, and may be large
        known = await self._shelf.blobs.find(Expected(found.target.digest))
        try:
            async with asyncio.timeout(member.terms.timeout):
                landed = Landed(found.target, Brought(known, kept=True) if known is not None else None)
                if found.manifest or known is None:
                    landed = await self._landing.land(member, want, found)
        except TimeoutError:
            raise TooSlow(member.name, f"no manifest within {member.terms.timeout:g} s") from None
        verdict = Verdict(Cache.HIT) if known is not None or not found.manifest else Verdict(Cache.MISS, stored=True)
        return _named(self._record(member, None, landed.target), verdict, landed)

    async def _remembered(self, member: Member, want: NameWant) -> Named | None:
        """What is held for the name. A record whose document has gone is no record; nor is one of what another account
        was told; nor is one that cannot be read, where its owner can be asked: of a release the
        first digest is read after that, and must be."""
        try:
            record = await self._shelf.names.get(member.name, want.key)
        except StoreFailed as failure:
            if self.offline:
                raise
            self._observer(Trouble("names", member.name, spoken(want.key), str(failure)))
            return None
        if record is None or not _is_its_own(member, want, record):
            return None
        verdict = Verdict(Cache.HIT)
        if want.kind.bodiless:
            return Named(record, verdict, None)
        held = await self._shelf.blobs.find(Expected(record.target.digest))
        return Named(record, verdict, held) if held is not None else None

    async def _refreshed(self, member: Member, want: NameWant, old: Named, *, again: bool) -> Named:
        """What is to be asked anew (``Record.doubtful``) is served only where its owner cannot be asked, however long
        that takes; where it was shut, as long as others wait to hear whether it is back."""
        key, asked_anew = self._key(member, want), old.record.doubtful
        under_way = key in self._running and not asked_anew
        if not again and (under_way or await self._shelf.brief.get(f"trouble {key}") is not None):
            return self._stale(member, old, "refreshing")
        task, looking = self._question(member, want, old), member.health.doubts(want.about)
        if looking:
            patience: float | None = PROBED_BY if asked_anew else AT_ONCE
        else:
            patience = None if asked_anew else member.terms.revalidate
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            await self._shelf.brief.set(f"trouble {key}", "slow", member.terms.missing_for)
            return self._stale(member, old, "refreshing" if looking else "upstream-slow")
        try:
            named = task.result()
            return replace(named, verdict=replace(named.verdict, cache=Cache.REVALIDATED, status=200))
        except NotThere as no:
            return self._despite(member, want, old, no)
        except Shut:  # nobody was asked: no trouble to remember, so that whoever comes when it is open again asks
            return self._stale(member, old, "stale-if-error")
        except Failure as failure:
            await self._shelf.brief.set(f"trouble {key}", "failed", member.terms.missing_for)
            status = failure.status if isinstance(failure, UpstreamFault) else None
            return self._stale(member, old, "stale-if-error", status)

    def _stale(self, member: Member, old: Named, detail: str, status: int | None = None) -> Named:
        return replace(old, verdict=stale(old.record, member.terms, self._now(), detail=detail, status=status))

    def _despite(self, member: Member, want: NameWant, old: Named | None, no: NotThere) -> Named:
        """The owner says there is none: what is held is hidden (``gone: follow``) or served on (``keep``)."""
        if old is None or self._hides(member, want):
            raise no
        return self._stale(member, old, "gone-upstream", no.status)

    @staticmethod
    def _hides(member: Member, want: NameWant) -> bool:
        return member.terms.gone == "follow" or not want.kind.content

    # --- the question itself, one per name

    def _key(self, member: Member, want: NameWant) -> str:
        """With the generation: whoever comes after a write must not join what was asked before it."""
        return f"{member.name} {self._shelf.names.generation(member.name)} {want.key}"

    def _question(self, member: Member, want: NameWant, old: Named | None) -> asyncio.Task[Named]:
        key = self._key(member, want)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(member, want, old), name=f"lookup {key}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[Named]) -> None:
        del self._running[key]
        if task.cancelled():
            return
        failure = task.exception()  # and so it counts as retrieved, also where nobody waits any more
        if failure is not None and not isinstance(failure, (NotThere, NotOffered, Shut, Interrupted)):
            upstream, _, name = key.split(" ", 2)
            self._observer(trouble_of(failure, "lookup", upstream, spoken(name)))

    async def _ask(self, member: Member, want: NameWant, old: Named | None) -> Named:
        """The name anew; its record is stored, and what it points at is durable, when this returns."""
        as_of = self._shelf.names.generation(member.name)
        try:
            async with asyncio.timeout(member.terms.timeout) as limit, piled(member.desk.room) as pile:
                found = await self._found(member, want, pile)
                with not_counted(limit):
                    before = old.held if old is not None else None
                    found = await self._settling(member, want, found, as_of, before)
                if found.body is None:
                    pile.clear()
                with not_counted(limit) if found.body is not None else nullcontext():
                    landed = await self._landing.land(member, want, found)
            record = replace(self._record(member, old, landed.target), empty=found.empty)
            remembered = await self._landing.remember(member, want, found, record, as_of)
            kept = remembered and (landed.document is None or landed.document.kept)
            detail, fresh_for = None if kept else "unkept", member.terms.fresh_for
            verdict = Verdict(Cache.MISS, age=0.0, ttl=fresh_for, detail=detail, stored=kept, trail=found.trail)
            return _named(record, verdict, landed)
        except TimeoutError:
            raise TooSlow(member.name, f"no answer within {member.terms.timeout:g} s") from None
        except NotThere as no:
            await self._shelf.misses.note(member, want.key, no, as_of)
            if no.passes_on and self._hides(member, want):
                await self._drop(member, want, as_of)
            raise
        except Failure:
            raise
        except Exception as crash:
            log.exception("a lookup crashed", extra={"key": self._key(member, want)})
            raise Interrupted(f"{member.name}: asking for {want.key!r} failed inside this gateway") from crash

    async def _drop(self, member: Member, want: NameWant, as_of: int) -> None:
        """What another account was told is there again once that one is."""
        with suppress(StoreFailed):
            known = await self._shelf.names.get(member.name, want.key)
            if known is not None and not _is_its_own(member, want, known):
                return
        await self._landing.drop(member, want, as_of)

    def _record(self, member: Member, old: Named | None, target: Descriptor) -> Record:
        now = self._now()
        since = old.record.since if old is not None and old.record.target.digest == target.digest else now
        return Record(target, member.name, checked=now, since=since, told=member.identity)

    async def _found(self, member: Member, want: NameWant, pile: Pile) -> Found:
        """What the owner says, which may contradict itself. A list of everything may be empty but is never gone: who
        had one and has none now fails, so that what it had does not disappear without a word."""
        try:
            return await ask(member, member.dialect.lookup(want), pile)
        except DigestMismatch as lie:
            self._observer(LieCaught(member.name, OWNER, lie.expected, lie.got, lie.sentence, want.repository))
            raise
        except (NotThere, NotOffered) as no:
            before = await self._shelf.names.get(member.name, want.key) if want.kind.everything else None
            if before is not None and not before.doubtful and _is_its_own(member, want, before):
                raise Outage(member.name, f"had a list of {want.kind} and now {no.sentence}", no.status) from no
            raise

    async def close(self) -> None:
        """Break off what is under way and wait until it has ended."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_its_own(member: Member, want: NameWant, record: Record) -> bool:
    """Was it told to the account, and by the place, that the upstream's name stands for now? Where that was not written
    down yet (``told`` is empty), a name counts as its own, and that bytes are there does not."""
    return record.told == member.identity or (record.told == "" and not want.kind.by_digest)


def _named(record: Record, verdict: Verdict, landed: Landed) -> Named:
    document = landed.document
    return Named(record, verdict, None) if document is None else Named(record, verdict, document.held, document.tried)
