"""One caller's wait for a flight: until its bytes are verified, or until there is a size and patience is over."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from apprproxy.core.errors import Exhausted, Failure, NotThere, Outage, StoreFailed, UpstreamFault
from apprproxy.core.label import Label
from apprproxy.core.model import MAX_DOCUMENT, BlobWant, Cache, Verdict
from apprproxy.core.ports.store import Held, Readable
from apprproxy.gateway.delivery.delivery import HEADERS_BY, Delivery
from apprproxy.gateway.delivery.follow import Following
from apprproxy.gateway.delivery.passing import Passing
from apprproxy.gateway.diary import Diary, Tried, hand_on
from apprproxy.gateway.flights.candidates import Candidate, in_their_name
from apprproxy.gateway.flights.flight import Flight
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.health import PROBED_BY
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.transfer import HeldTransfer, Pieces, Transfer
from apprproxy.gateway.visible import NOTHING, Sight, Visible
from apprproxy.gateway.waits import either


class Waiting:
    """``since`` is when it asked, by the loop's clock, and ``waited`` what it has waited for since; ``sight`` is what
    it may be given of what did not come in its own name, and ``in_own_name`` fetches that."""

    def __init__(
        self,
        want: BlobWant,
        flight: Flight,
        candidates: Sequence[Candidate],
        *,
        since: float,
        waited: Sequence[Tried],
        sight: Sight,
        shelf: Shelf,
        visible: Visible,
        in_own_name: Callable[[Member, BlobWant], Awaitable[Held]],
        delivery: Delivery,
        passing: Passing,
    ) -> None:
        self._want = want
        self._flight = flight
        self._candidates = candidates
        self._since = since
        self._waited = waited
        self._sight = sight
        self._shelf = shelf
        self._visible = visible
        self._in_own_name = in_own_name
        self._delivery = delivery
        self._passing = passing
        self._own = Diary()

    async def transfer(self, cache: Cache, *, whole: bool) -> Transfer:
        """``cache`` is how the caller came to the flight; ``whole`` waits for the bytes, unless they cannot be kept and
        have to be passed on. Raises Exhausted, Moved, or StoreFailed."""
        self._flight.candidates.joined_by(self._candidates)
        task = asyncio.ensure_future(self._done())
        try:
            await self._probed(task)
            await asyncio.wait([task], timeout=None if whole else self._left(self._delivery.patience))
            size = await self._sized(task)
            if not task.done():
                assert size is not None
                return self._following(cache, size)
            try:
                held = await task
            except StoreFailed:
                passed = not self._want.kind.document and self._want.expected.content is not None
                if not (passed and self._delivery.streamable(self._candidates)):
                    raise
                size = self._told(self._flight.candidates.in_order(self._candidates))  # of whoever is asked first now
                return self._following(cache, size or await self._asked_size(), kept=False)
            origin = (self._flight.winner or self._candidates[0]).member.name
            verdict = self._verdict(cache, kept=self._flight.kept)
            return HeldTransfer(verdict, origin, bounded(self._want, held, origin), self._tried)
        except (Failure, asyncio.CancelledError) as end:
            hand_on(end, self._tried)
            raise
        finally:
            task.cancel()
            self._flight.candidates.left_by(self._candidates)

    @property
    def _tried(self) -> Sequence[Tried]:
        """Whoever sent the bytes comes last."""
        return (*self._waited, *self._own.so_far, *self._flight.diary.so_far)

    def _left(self, seconds: float) -> float:
        """Of so many since it asked."""
        return max(0.0, self._since + seconds - asyncio.get_running_loop().time())

    async def _probed(self, task: asyncio.Future[Any]) -> None:
        """Where everybody to ask was shut a moment ago, nobody waits long for the one request that looks whether they
        are back; raises Exhausted."""
        if self._flight.behind or not all(one.source.health.doubtful for one in self._candidates):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PROBED_BY):
                while not (self._flight.answered or task.done()):
                    await either(task, self._flight.changed())
        if not (self._flight.answered or task.done()):
            raise Exhausted([one.source.health.probing() for one in self._candidates if one.source.owner])

    def _verdict(self, cache: Cache, *, kept: bool = True) -> Verdict:
        return Verdict(cache, stored=kept, detail=None if kept else "unkept", trail=self._flight.trail)

    def _following(self, cache: Cache, size: int, *, kept: bool = True) -> Transfer:
        return Following(
            self._verdict(cache, kept=kept),
            self._flight,
            self._candidates,
            size,
            waited=self._waited,
            stream=self._delivery.stream,
            sight=self._sight,
            may_see=self._may_see,
            done=self._done,
            instead=self._instead,
        )

    # --- the bytes

    async def _done(self) -> Held:
        """The verified bytes, once it is known that these candidates may show them, or have sent them themselves."""
        flight = self._flight
        try:
            held = await flight.wait(self._candidates)
        except Exhausted as failed:
            await self._shelf.first_seen.explain(self._want, failed)
            raise
        if not (in_their_name(flight.winner, self._candidates) or self._sight.of(flight.brought_by)):
            with self._own.meanwhile("who has it"):
                member, sight = await self._visible.sight(self._owners(), self._want)
            if not sight.of(flight.brought_by):
                with self._own.meanwhile(member.name):
                    held = await self._in_own_name(member, self._want)
        self._shelf.index.used(held.digest)
        return held

    async def _may_see(self) -> Sight:
        try:
            _, sight = await self._visible.sight(self._owners(), self._want)
        except Failure:
            return NOTHING  # the end decides, and says why
        return sight

    def _instead(self, at: int, stop: int, size: int, had: tuple[Readable, Label] | None) -> Pieces:
        candidates = self._flight.candidates.in_order(self._delivery.streamable(self._candidates))
        return self._passing.pieces(candidates, at, stop, size, had)

    def _owners(self) -> list[Member]:
        return [one.member for one in self._candidates if one.source.owner]

    # --- the size

    async def _sized(self, task: asyncio.Future[Any]) -> int | None:
        """As soon as somebody has told it who may, and somebody is sending; or until the task is done."""
        while self._told(self._candidates) is None and not task.done():
            await either(task, self._flight.changed())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._left(HEADERS_BY)):
                while not (self._flight.answered or task.done()):
                    await either(task, self._flight.changed())
        while self._told(self._sending()) is None and not task.done():
            await either(task, self._flight.changed())
        return self._told(self._sending())

    def _sending(self) -> Sequence[Candidate]:
        """Those of the member that sends, whose word alone counts then; all while nobody does."""
        flight = self._flight
        current = flight.current.member.name if flight.current is not None else ""
        sender = current or (flight.parts[-1].upstream if flight.parts else "")
        return [one for one in self._candidates if one.member.name == sender] or self._candidates

    def _told(self, candidates: Sequence[Candidate]) -> int | None:
        announced = self._flight.sizes
        sizes = (one.due if one.due is not None else announced.get(one.member.name) for one in candidates)
        return next((size for size in sizes if size), None)  # of what is empty the headers alone are all: verify

    async def _asked_size(self) -> int:
        """The disk failed before anybody could tell it; raises what the owner says instead."""
        member = await self._visible.among(self._owners(), self._want)
        try:
            size = await self._visible.confirmed(member, self._want)
        except UpstreamFault as failure:
            raise Exhausted([failure]) from failure
        if not size:
            raise Exhausted([Outage(member.name, "does not say how large it is, and it cannot be kept here")])
        return size


def bounded(want: BlobWant, held: Held, origin: str) -> Held:
    """What is held may be some blob of any size; a manifest is read into memory. Anybody may ask for one by the digest
    of a blob: that is nobody's fault but their own."""
    if want.kind.document and held.size > MAX_DOCUMENT:
        raise Exhausted([NotThere(origin, f"has no manifest {held.digest}: these are {held.size} bytes of a blob")])
    return held
