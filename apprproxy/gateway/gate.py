"""Decided before anything is looked up, found or joined: who of a place may be asked. Pure.

A member that may not be asked is passed over; where none is left the want is refused, and the reasons are told.
"""

from collections.abc import Callable
from dataclasses import replace

from apprproxy.core.errors import Denied
from apprproxy.core.model import BlobWant, NameWant, Place
from apprproxy.gateway.members.member import Member, Members

Admits = Callable[[str, str], bool]
"""Does what this member lists under a name count?"""


class Gate:
    def __init__(self, members: Members) -> None:
        self._members = members

    def for_bytes(self, want: BlobWant) -> BlobWant:
        """The want, of those who may be asked for the bytes of its repository; raises Denied."""
        return replace(want, place=self.for_repository(want.place, want.repository))

    def for_name(self, want: NameWant) -> NameWant:
        """Likewise for a name; raises Denied."""
        reasons = {member: self._name_refusal(self._members(member), want) for member in want.place.members}
        return replace(want, place=_narrowed(want.place, reasons, want.repository or want.within))

    def for_repository(self, place: Place, repository: str) -> Place:
        """Those who may be asked for a repository; raises Denied."""
        reasons = {member: self._members(member).rules.refusal(repository) for member in place.members}
        return _narrowed(place, reasons, repository)

    def admits(self, member: str, repository: str) -> bool:
        """Does what this member lists under a name count?"""
        return self._members(member).rules.refusal(repository) is None

    def refuses_some(self, member: str) -> bool:
        """May there be something in this member's lists that does not count?"""
        return self._members(member).rules.refuses_some

    @staticmethod
    def _name_refusal(member: Member, want: NameWant) -> str | None:
        if member.terms.names == "refuse" and not want.kind.by_digest:
            return f"upstreams.{member.name}.names is refuse: it is asked for bytes by digest, and for no name"
        if want.repository:
            return member.rules.refusal(want.repository)
        return member.rules.refusal_within(want.within) if want.within else None


def _narrowed(place: Place, reasons: dict[str, str | None], name: str) -> Place:
    members = tuple(member for member in place.members if reasons[member] is None)
    if not members:
        said = dict.fromkeys(reason for reason in reasons.values() if reason is not None)
        raise Denied(f"{name[:300] or place.name!r} is not served here: {'; '.join(said)}")
    return place if members == place.members else replace(place, members=members)
