"""Four verbs: blob (bytes, from anyone), lookup (a name, from its owner), survey (a name, from all), forward (a write).

Faces turn a request into a want and call one of these; nobody here calls a face.
"""

from apprproxy.core.errors import NotAllowed
from apprproxy.core.model import BlobWant, NameWant, Place, Write
from apprproxy.core.ports import Clock, Observer, Reply
from apprproxy.gateway.blobs import Blobs, Delivery, Transfer
from apprproxy.gateway.lookup import Lookups, Named
from apprproxy.gateway.member import Members
from apprproxy.gateway.shelf import Shelf
from apprproxy.gateway.views import Answer, Views


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
        offline: bool = False,
    ) -> None:
        self._members = members
        self._names = shelf.names
        self._offline = offline
        self._blobs = Blobs(members, shelf, observer, delivery, offline=offline)
        self._lookups = Lookups(shelf, self._blobs.durable, observer, now, offline=offline)
        self._views = Views(members, shelf.names, self._lookups)

    async def blob(self, want: BlobWant, *, whole: bool = False) -> Transfer:
        """Verified bytes, or after ``patience`` a transfer whose size is known.

        ``whole`` waits for the bytes however long that takes. Raises Exhausted, Moved or NotHeld.
        """
        return await self._blobs.get(want, whole=whole)

    async def holds(self, want: BlobWant) -> bool:
        """Could ``blob`` answer at once?"""
        return await self._blobs.holds(want)

    async def lookup(self, want: NameWant, *, again: bool = False) -> Named:
        """A name from the member that owns it; only an authoritative *no* passes it on to the next.

        ``again`` revalidates what is fresh (a client's no-cache). Raises Exhausted (all of NotThere: there is none),
        NotHeld or Moved.
        """
        return await self._views.lookup(want, again=again)

    async def survey(self, want: NameWant, *, again: bool = False) -> list[Answer]:
        """The same name from every member at once, every answer kept apart, in the view's order. Does not raise."""
        return await self._views.survey(want, again=again)

    async def forward(self, write: Write) -> tuple[str, Reply]:
        """Pass a write on with the caller's own Authorization, and forget the names that it changed.

        Goes to the only member that takes writes; returns its name and whatever it answered. Raises NotAllowed,
        or an UpstreamFault.
        """
        member = self._members(self.may_forward(write.place))
        reply = await member.upstream.send(member.dialect.write(write))
        if write.repository and 200 <= reply.status < 300:
            await self._names.forget(member.name, write.repository, write.pins)
        return member.name, reply

    def may_forward(self, place: Place) -> str:
        """The member that takes writes for a place, so that a refusal need not wait for a body; raises NotAllowed."""
        takers = [name for name in place.members if self._members(name).terms.writes == "pass"]
        if len(takers) != 1 or self._offline:
            raise NotAllowed(_why_no_write(place, takers, offline=self._offline))
        return takers[0]

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
