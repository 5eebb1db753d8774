"""Catalogs of several registries as one list. Pure; idempotent; the order of the members makes no difference."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from apprproxy.core.documents import parsed
from apprproxy.core.grammar import MAX_REPOSITORY
from apprproxy.gateway.gate import Admits


def merged_catalogs(catalogs: Iterable[tuple[str, bytes]], admits: Admits) -> tuple[str, ...]:
    """Of members and what each sent: sorted, each name once, whoever has it; without what does not count.

    Each is sorted by itself: nobody else has a turn while one is, and all of them together are merged in no time.
    """
    names: list[str] = []
    for member, document in catalogs:
        names += sorted(name for name in _repositories(document) if admits(member, name))
    return tuple(name for name, _ in groupby(sorted(names)))


def _repositories(document: bytes) -> Iterator[str]:
    """A page ends with a name, by which the next one is asked for. By one that is longer than any it could not be, and
    whoever pages would not come to what the other members have. Whoever lists prints them, too."""
    answer = parsed(document)
    names = (answer.get("repositories") or []) if isinstance(answer, dict) else []
    return (name for name in names if len(name) <= MAX_REPOSITORY and name.isprintable())
