"""Whose the names of a view are, as it has been decided there: remembered for that view alone, and over restarts."""

from contextlib import suppress

from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Cache, NameWant, Place
from apprproxy.core.ports.store import Names
from apprproxy.gateway.names.lookup import Named

_NOBODY = ""
"""In the place of a member that had a name."""


class Owners:
    """``as_of`` is the view's generation in which it was asked, as ``Names.set_owner`` takes it."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def of(self, want: NameWant) -> str | None:
        """The member that had this name, if it still is one. A list is not one's any more whose repository has been
        found at a member before it since: it would have other names in it than those that are answered."""
        members = want.place.members
        if len(members) == 1:
            return None
        owner = await self._names.owner(want.place.name, want.key)
        if owner not in members:
            return None
        if want.kind.lists_it and owner != members[0]:
            found_at = await self.of_repository(want)
            return found_at if found_at in members[: members.index(owner)] else owner
        return owner

    async def of_repository(self, want: NameWant) -> str | None:
        """The member that had others of its repository last, if it still is one."""
        owner = await self._names.owner(want.place.name, want.place.home(want.repository))
        return owner if len(want.place.members) > 1 and owner in want.place.members else None

    async def answered(self, want: NameWant, named: Named, remembered: str | None, as_of: int) -> None:
        """Where one member is left that may be asked, only that the name is not another's any more: once all may be
        asked again, the view's order decides anew."""
        place, name = want.place, named.record.origin
        alone = len(place.members) == 1
        nothing_new = name == place.name or named.verdict.cache is Cache.HIT or named.record.empty
        if name == remembered or (alone and nothing_new):
            return
        keys = [want.key]
        if want.repository and want.kind.content:  # orders who is asked for bytes, which are verified; never names
            keys.append(place.home(want.repository))
        with suppress(StoreFailed):  # then the members are asked in order again
            for key in keys:
                if not alone:
                    await self._set(place, key, name, as_of)
                elif await self._names.owner(place.name, key) not in (None, name):
                    await self._set(place, key, _NOBODY, as_of)

    async def found(self, want: NameWant, name: str, as_of: int) -> None:
        """A member has the repository, though not this name."""
        with suppress(StoreFailed):  # then it is found there again
            await self._set(want.place, want.place.home(want.repository), name, as_of)

    async def _set(self, place: Place, key: str, name: str, as_of: int) -> None:
        if await self._names.owner(place.name, key) != name:
            await self._names.set_owner(place.name, key, name, as_of)
