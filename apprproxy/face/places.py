"""The places that one protocol serves, by name, and the view that answers names without a prefix."""

from collections.abc import Mapping
from dataclasses import dataclass

from apprproxy.core.errors import UnknownPlace
from apprproxy.core.model import Place


@dataclass(frozen=True, slots=True)
class Places:
    by_name: Mapping[str, Place]
    default: Place | None

    def find(self, name: str) -> Place | None:
        return self.by_name.get(name)

    def named(self, name: str) -> Place:
        """Raises UnknownPlace."""
        place = self.by_name.get(name)
        if place is None:
            raise UnknownPlace(f"there is no upstream or view {name[:80]!r} of this protocol here")
        return place

    def unnamed(self) -> Place:
        """Raises UnknownPlace where nobody answers names without a prefix."""
        if self.default is None:
            raise UnknownPlace(
                "no view answers names without a prefix here: put an upstream's name first, or set views.default"
            )
        return self.default
