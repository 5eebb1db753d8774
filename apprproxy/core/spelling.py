"""How people write a protocol's names, and what these mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from apprproxy.core.digest import Digest
from apprproxy.core.kind import Kind
from apprproxy.core.model import Expected, NameWant, Place


@dataclass(frozen=True, slots=True)
class Meaning:
    """A name by its title, and the bytes that it means. ``alias``, where it was asked for: see ``Found.alias``."""

    title: str
    expected: Expected
    alias: str = ""


class Spelling(Protocol):
    """Pure."""

    @property
    def by_digest(self) -> Sequence[Kind]:
        """What bytes are asked for as by their digest: documents first, where the protocol keeps these apart."""
        ...

    def expected(self, digest: Digest) -> Expected:
        """The bytes that a digest in this protocol's paths, and in lock files, stands for."""
        ...

    def wants(self, place: Place, text: str) -> Sequence[NameWant]:
        """The name, in the forms in which it may be remembered, the one that says most last; raises Malformed."""
        ...

    def meanings(self, want: NameWant, target: Digest, document: bytes) -> Sequence[Meaning]:
        """What a name means that points at ``target``, whose bytes are the document; raises Malformed."""
        ...

    def repository(self, title: str) -> str:
        """Whose name it is."""
        ...

    def aliases(self, title: str) -> Sequence[str]:
        """Titles that may mean the same, and say less; see ``Found.alias``."""
        ...
