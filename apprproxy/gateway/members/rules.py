"""Who is asked for which names: what an upstream's ``allow``, ``deny`` and the upstreams' ``own`` say. Pure.

- A pattern is matched against the whole repository or package name, case and all: ``*`` is any text, slashes included,
  ``?`` is one character, everything else is itself.
- ``deny`` wins over ``allow``.
- What an upstream owns is asked of no other. Where several own a name, the pattern with the most literal characters
  says whose it is; where two of those are as long, nobody is asked.
- Images and packages are names of two protocols: an upstream may own what one of the other protocol owns as well.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_SHORT, _LONG = "\0", "\0" * 256
"""Names that no pattern spells out: what matches both in a namespace matches everything in it."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A pattern of names that are an upstream's."""

    upstream: str
    protocol: str
    pattern: str

    @property
    def weight(self) -> int:
        return sum(character not in "*?" for character in self.pattern)


@dataclass(frozen=True, slots=True)
class Rules:
    """``upstream`` and ``protocol`` are whose rules they are; ``owned`` is what all upstreams own, itself included."""

    upstream: str
    protocol: str = ""
    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    owned: tuple[Owned, ...] = ()

    @property
    def refuses_some(self) -> bool:
        """Is there a name at all that they refuse?"""
        foreign = any(one.upstream != self.upstream for one in self.owned)
        return bool(self.deny) or "*" not in self.allow or foreign

    def refusal(self, name: str) -> str | None:
        """The key that keeps this upstream from being asked for a name; None where it may be."""
        if (denied := _first(self.deny, name)) is not None:
            return f"upstreams.{self.upstream}.deny has {denied!r}"
        if _first(self.allow, name) is None:
            return f"upstreams.{self.upstream}.allow does not have it"
        owner = self._rival([one for one in self.owned if matches(one.pattern, name)])
        return f"upstreams.{owner.upstream}.own has {owner.pattern!r}" if owner is not None else None

    def refusal_within(self, namespace: str) -> str | None:
        """Likewise for a list that is narrowed to a namespace, if nothing in it may be asked for here."""
        short, long = (self.refusal(f"{namespace}/{name}") for name in (_SHORT, _LONG))
        return short if short and long else None

    def _rival(self, patterns: list[Owned]) -> Owned | None:
        """What stands in this upstream's way."""
        own = max((one.weight for one in patterns if one.upstream == self.upstream), default=-1)
        return next((one for one in patterns if self._outweighs(one, own)), None)

    def _outweighs(self, other: Owned, own: int) -> bool:
        if other.upstream == self.upstream:
            return False
        return own < 0 or (other.protocol == self.protocol and other.weight >= own)


def matches(pattern: str, name: str) -> bool:
    return _compiled(pattern).fullmatch(name) is not None


def _first(patterns: Iterable[str], name: str) -> str | None:
    return next((pattern for pattern in patterns if matches(pattern, name)), None)


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Stars that follow each other are one; each star but the last stops where it first can and never tries again
    (an atomic group), so that no pattern takes more than the square of a name's length."""
    first, *rest = re.split(r"\*+", pattern)
    literal = [re.escape(part).replace(r"\?", ".") for part in rest]
    middle = "".join(f"(?>.*?{part})" for part in literal[:-1])
    last = f".*{literal[-1]}" if literal else ""
    return re.compile(re.escape(first).replace(r"\?", ".") + middle + last, re.DOTALL)
