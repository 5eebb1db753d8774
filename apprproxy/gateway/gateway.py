"""Four verbs: blob (bytes, from anyone), lookup (a name, from its owner), survey (a name, from all), forward (a write).

Faces turn a request into a want and call one of these; nobody here calls a face.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from apprproxy.core.answers import answer_of
from apprproxy.core.errors import NotAllowed, StoreFailed
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.model import BlobWant, Clock, NameWant, Place, Write
from apprproxy.core.ports.store import Held, Unpacks
from apprproxy.core.ports.upstream import Reply
from apprproxy.gateway.blobs import Blobs
from apprproxy.gateway.delivery.delivery import Delivery, Span
from apprproxy.gateway.gate import Gate
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member, Members
from apprproxy.gateway.names.lookup import Lookups, Named
from apprproxy.gateway.names.views import Answer, Views
from apprproxy.gateway.transfer import Transfer
from apprproxy.gateway.visible import Visible

T = TypeVar("T")


class Gateway:
    """``close`` when done."""

    def __init__(
        self,
        members: Members,
        shelf: Shelf,
        observer: Observer,
        now: Clock,
        *,
        delivery: Delivery,
        unpacks: Unpacks,
        offline: bool = False,
    ) -> None:
        self._members = members
        self._gate = Gate(members)
        self._names = shelf.names
        self._observer = observer
        self._offline = offline
        self._unpacks = unpacks
        visible = Visible(shelf.index, self._confirm)
        self._blobs = Blobs(members, shelf, visible, observer, delivery, offline=offline)
        self._lookups = Lookups(shelf, self._blobs.durable, observer, now, offline=offline)
        self._views = Views(members, shelf.names, self._lookups)
        self._writes: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """Transfers that wait their turn."""
        return self._blobs.waiting

    async def blob(
        self, want: BlobWant, *, whole: bool = False, span: Span | None = None, only_held: bool = False
    ) -> Transfer:
        """Verified bytes, or after ``patience`` a transfer whose size is known; the caller closes it.

        ``whole`` waits for the bytes however long that takes, unless they cannot be kept and are passed on: then they
        are not ``held``, which raises StoreFailed. ``span`` is the closed range that the caller is after: it may be
        given just that. ``only_held``: nobody is asked, and what is not held is NotHeld. Raises Denied, Exhausted,
        Moved, NotHeld, or another OurFault where this gateway itself cannot (Crowded, StoreFailed, Interrupted).
        """
        return await self._blobs.get(self._gate.for_bytes(want), whole=whole, span=span, only_held=only_held)

    async def keep(self, want: BlobWant) -> Held:
        """As ``blob`` with ``whole``; the bytes are durable when it returns, or cannot be kept."""
        return (await self._blobs.durable(self._gate.for_bytes(want))).held

    async def holds(self, want: BlobWant) -> bool:
        """Could ``blob`` answer at once? Raises Denied."""
        return await self._blobs.holds(self._gate.for_bytes(want))

    async def lookup(self, want: NameWant, *, again: bool = False) -> Named:
        """A name from the member that owns it; only an authoritative *no* passes it on to the next.

        ``again`` revalidates what is fresh (a client's no-cache). Raises Exhausted (all of NotThere: there is none),
        Denied, NotHeld, Moved, or another OurFault as ``blob`` does.
        """
        return await self._views.lookup(self._gate.for_name(want), again=again)

    async def survey(self, want: NameWant, *, again: bool = False) -> list[Answer]:
        """The same name from every member at once, every answer kept apart, in the view's order.

        Raises Denied where no member may be asked, and nothing else.
        """
        return await self._views.survey(self._gate.for_name(want), again=again)

    async def recall(self, want: NameWant, *, fresh: bool = False) -> Named | None:
        """What is held of a name, of whatever age, or only what is ``fresh``; nobody is asked. Raises Denied."""
        return await self._views.recall(self._gate.for_name(want), fresh=fresh)

    async def read(self, upstream: str, document: Held, read: Callable[[bytes], T]) -> T:
        """Take a document of this upstream's apart, where it keeps nobody waiting; ``read`` does nothing else. Raises
        StoreFailed."""
        return await self._members(upstream).desk.read(document, read)

    def admits(self, member: str, repository: str) -> bool:
        """Does what this member's list has under a name belong into a merged answer?"""
        return self._gate.admits(member, repository)

    def refuses_some(self, member: str) -> bool:
        """May there be something in this member's lists that does not?"""
        return self._gate.refuses_some(member)

    async def forward(self, write: Write) -> tuple[str, Reply]:
        """Pass a write on with the caller's own Authorization, and forget the names that it changed.

        Goes to the only member that takes writes; returns its name and whatever it answered. Raises NotAllowed,
        Denied, or an UpstreamFault.
        """
        member = self._members(self.taker(write.place, write.repository))
        over = asyncio.get_running_loop().create_future()
        self._writes.add(over)
        try:
            reply = await answer_of(member.upstream, member.dialect.write(write))
            if write.repository and 200 <= reply.status < 300:
                await self._written(member, write)
            return member.name, reply
        finally:
            self._writes.discard(over)
            over.set_result(None)

    async def _written(self, member: Member, write: Write) -> None:
        """The upstream says that it has been: of what it names now, only what was brought is what its caller meant."""
        try:
            brought = await self._unpacks(partial(member.dialect.archive, write)) if write.titles else None
            pushed = dict.fromkeys(write.titles, brought) if brought is not None else {}
            through = write.place if pushed else None
            await self._names.written(member.name, write.repository, write.changed, pushed, through)
        except StoreFailed as failure:  # it has been written all the same; what is held of before grows old
            self._observer(Trouble("keep", member.name, write.repository, str(failure)))

    def taker(self, place: Place, repository: str) -> str:
        """The member that takes writes to a repository of a place (empty for none), so that a refusal need not wait
        for a body; raises NotAllowed or Denied."""
        place = self._gate.for_repository(place, repository) if repository else place
        takers = [name for name in place.members if self._members(name).terms.writes == "pass"]
        if len(takers) != 1 or self._offline:
            raise NotAllowed(_why_no_write(place, takers, offline=self._offline))
        return takers[0]

    async def _confirm(self, member: Member, want: NameWant) -> Named:
        return await self._lookups.find(member, want, again=False)

    async def finish_writes(self, seconds: float) -> None:
        """Wait, no longer than that, until those are over that are under way. What an upstream has taken would be
        refused as a move for good, if its answer were not heard; nobody else waits for that of a client that left."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=seconds)

    async def close(self) -> None:
        """Break off what is under way."""
        await self._lookups.close()
        await self._blobs.close()


def _why_no_write(place: Place, takers: list[str], *, offline: bool) -> str:
    if offline:
        return "this gateway is offline: no upstream is ever contacted"
    if takers:
        return f"several members of {place.name} take writes ({', '.join(takers)}): put one's name first in the path"
    keys = ", ".join(f"upstreams.{name}.writes: pass" for name in place.members)
    return f"no upstream takes writes through this gateway; push to it directly, or set {keys}"
