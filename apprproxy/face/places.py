"""The places that one protocol serves, by name, and the view that answers names without a prefix."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from apprproxy.core.errors import UnknownPlace
from apprproxy.core.host import Host
from apprproxy.core.model import Place


@dataclass(frozen=True, slots=True)
class Places:
    """``by_host`` are the hosts that a client may name by ``?ns=``: a closed list, never a place to dial.
    ``by_view_host`` are those by which it may reach this gateway to find a view there; None for a view that has nothing
    of this protocol."""

    by_name: Mapping[str, Place]
    default: Place | None
    by_host: Mapping[str, Place] = field(default_factory=dict)
    by_view_host: Mapping[Host, Place | None] = field(default_factory=dict)

    def at(self, host: Host | None) -> Self:
        """These places as they are reached by that host: names without a prefix are answered by the view that has it.

        A host with its port is looked for first, then the host on any port. One that no view has changes nothing.
        """
        for known in (host, host.anywhere) if host is not None else ():
            if known in self.by_view_host:
                return replace(self, default=self.by_view_host[known])
        return self

    def find(self, name: str) -> Place | None:
        return self.by_name.get(name)

    def named(self, name: str) -> Place:
        """Raises UnknownPlace."""
        place = self.by_name.get(name)
        if place is None:
            raise UnknownPlace(f"there is no upstream or view {name[:80]!r} of this protocol here")
        return place

    def hosting(self, host: str) -> Place:
        """Raises UnknownPlace, so that clients move on to their next host."""
        place = self.by_host.get(host.lower())
        if place is None:
            raise UnknownPlace(f"no upstream here answers for the host {host[:80]!r} (ns)")
        return place

    def unnamed(self) -> Place:
        """Raises UnknownPlace where nobody answers names without a prefix."""
        if self.default is None:
            raise UnknownPlace(
                "no view answers names without a prefix here: put the name of an upstream of this protocol first, or"
                " into views.default"
            )
        return self.default
