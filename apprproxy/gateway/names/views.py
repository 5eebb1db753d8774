"""A name of a place with several members: asked in order for its owner, or of all of them at once."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

from apprproxy.core.errors import Denied, Exhausted, Failure, NotHeld, NotOffered, NotThere, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place
from apprproxy.core.ports.store import Names
from apprproxy.gateway.members.member import Members
from apprproxy.gateway.names.lookup import Lookups, Named
from apprproxy.gateway.names.owners import Owners
from apprproxy.gateway.names.route import order


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member of a view said: its document, or why there is none."""

    member: str
    named: Named | None = None
    failure: Failure | None = None


class Views:
    def __init__(self, members: Members, names: Names, lookups: Lookups) -> None:
        self._members = members
        self._names = names
        self._lookups = lookups
        self._owners = Owners(names)

    async def lookup(self, want: NameWant, *, again: bool = False) -> Named:
        """A name from the member that owns it; only an authoritative *no* passes it on to the next, and that of a
        member that has the repository passes none of its names on.

        ``again`` revalidates what is fresh (a client's no-cache). Raises Exhausted (all of NotThere: there is none),
        Denied (no member's lock file has it), NotHeld, Moved, or another OurFault as ``Gateway.blob`` does.
        """
        as_of, remembered = self._names.generation(want.place.name), await self._owners.of(want)
        owner = await self._owner(want, remembered)
        noes: list[UpstreamFault] = []
        refusals: list[Denied] = []
        unheld: NotHeld | None = None
        left = self._asked(want, remembered, owner)
        while left:
            name = left.pop(0)
            try:
                named = await self._lookups.find(self._members(name), want, again=again)
            except (NotThere, NotOffered) as no:
                noes.append(no)
                if isinstance(no, NotThere) and not no.passes_on:
                    break
                left = await self._left(want, name, left, noes, as_of)
            except Denied as refusal:
                refusals.append(refusal)
            except NotHeld as nothing:
                if name == owner or (self._is_locked(name) and not want.kind.by_digest):
                    raise  # it is known whose it is: that it is not held makes it nobody else's
                unheld = nothing
            except UpstreamFault as outage:
                raise Exhausted([*noes, outage]) from outage
            else:
                if named.record.empty and left and await self._lacks(name, want):
                    named = await self._of_others(want, left, again=again) or named
                await self._owners.answered(want, named, remembered, as_of)
                return named
        if unheld is not None:
            raise unheld
        if refusals and not noes:
            raise Denied("; ".join(map(str, refusals)))
        raise Exhausted(noes)

    async def _left(
        self, want: NameWant, name: str, left: list[str], noes: list[UpstreamFault], as_of: int
    ) -> list[str]:
        """Who may still be asked after this member's *no*: nobody behind it in the view, if it has the repository. Its
        names would be mixed with those of whoever registered the same repository elsewhere."""
        before = want.place.members[: want.place.members.index(name)]
        ahead = [one for one in left if one in before]
        if ahead == left or not want.part or not await self._has(name, want, noes):
            return left
        await self._owners.found(want, name, as_of)
        return ahead

    async def _has(self, name: str, want: NameWant, noes: list[UpstreamFault]) -> bool:
        """Has this member the repository, though not this name in it? Raises Exhausted where it cannot say."""
        repository = NameWant(Place.of(name, want.place.protocol), Kind.REPOSITORY, want.repository)
        try:
            await self._lookups.find(self._members(name), repository, again=False)
        except NotThere as no:
            return not no.passes_on
        except NotOffered:
            return False
        except UpstreamFault as outage:
            raise Exhausted([*noes, outage]) from outage
        return True

    async def _lacks(self, name: str, want: NameWant) -> bool:
        """Does this member, whose list is empty, say that it has nothing in the repository?"""
        if want.repository:
            with suppress(Failure):  # then the list is what is known
                return not await self._has(name, want, [])
        return False

    async def _of_others(self, want: NameWant, members: list[str], *, again: bool) -> Named | None:
        """A list of theirs that has something in it, since a repository with nothing in it is as good as not there;
        who cannot say takes nothing from the one that is empty."""
        with suppress(Failure):
            named = await self.lookup(replace(want, place=replace(want.place, members=tuple(members))), again=again)
            return None if named.record.empty else named
        return None

    async def _owner(self, want: NameWant, remembered: str | None) -> str | None:
        """Whose name it is known to be. Who cannot ask goes by who had others of its repository last."""
        if remembered or not self._lookups.offline or not want.repository or want.kind.by_digest:
            return remembered
        return await self._owners.of_repository(want)

    def _asked(self, want: NameWant, remembered: str | None, owner: str | None) -> list[str]:
        """In their order; before who had the name those ahead that may have it in a lock file, which counts from the
        next request on. Where nobody can be asked, of those whose name it is known not to be only such: what else they
        hold is of before, or was theirs under another address."""
        members = order(want.place, remembered)
        if remembered is not None and not want.kind.by_digest:
            ahead = want.place.members[: want.place.members.index(remembered)]
            members = tuple(dict.fromkeys((*filter(self._is_locked, ahead), *members)))
        if not self._lookups.offline or owner is None or self._is_locked(owner):
            return [*members]
        return [name for name in members if name == owner or self._is_locked(name)]

    def _is_locked(self, name: str) -> bool:
        return self._members(name).locked is not None

    async def recall(self, want: NameWant, *, fresh: bool = False) -> Named | None:
        """What is held of a name, of the member that had it or would be asked for it, without asking anybody; raises
        Denied.

        ``fresh``: only what ``lookup`` would answer with without asking.
        """
        remembered = await self._owners.of(want)
        owner = await self._owner(want, remembered)
        refusals: list[Denied] = []
        asked = self._asked(want, remembered, owner)
        for name in asked:
            member = self._members(name)
            try:
                named = await self._lookups.recall(member, want)
            except Denied as refusal:
                refusals.append(refusal)
                continue
            if named is not None and not (fresh and not self._lookups.is_fresh(member, named.record)):
                return named
            if name == owner or self._is_locked(name) or not self._lookups.offline:
                return None  # it would be asked, and whatever the others hold is not known to be that name
        if len(refusals) == len(asked):
            raise Denied("; ".join(map(str, refusals)))
        return None

    async def survey(self, want: NameWant, *, again: bool = False) -> list[Answer]:
        """The same name from every member at once, every answer kept apart, in the view's order. Does not raise."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._answer(name, want, again=again)) for name in want.place.members]
        return [task.result() for task in tasks]

    async def _answer(self, name: str, want: NameWant, *, again: bool) -> Answer:
        try:
            return Answer(name, named=await self._lookups.find(self._members(name), want, again=again))
        except Failure as failure:
            return Answer(name, failure=failure)
