"""Lists of several upstreams as one. Pure; idempotent; the first upstream that has a name owns it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apprproxy.appregistry.readable import readable
from apprproxy.core.documents import elements, listed
from apprproxy.gateway.gate import Admits


@dataclass(frozen=True, slots=True)
class Entry:
    """A package of a list; ``raw`` is how it came, unknown fields included, where clients can read that."""

    name: str
    raw: bytes


def entries(document: bytes) -> Iterator[Entry]:
    """Of a list that has been checked (``shapes.check_packages``), without names that cannot be seen as they are."""
    packages = ((package, raw) for package, raw in elements(document) if package["name"].isprintable())
    return (Entry(package["name"], readable(package, raw)) for package, raw in packages)


def merged(lists: Iterable[Iterable[Entry]]) -> list[Entry]:
    """In the order of the lists, then in each list's own."""
    owned: dict[str, Entry] = {}
    for packages in lists:
        for package in packages:
            owned.setdefault(package.name, package)
    return list(owned.values())


def merged_documents(documents: Iterable[tuple[str, bytes]], admits: Admits) -> list[Entry]:
    """The same of members and what each sent, without what does not count: that keeps nobody from owning the name."""
    return merged(
        (package for package in entries(document) if admits(member, package.name)) for member, document in documents
    )


def matching(packages: Iterable[Entry], query: str) -> Iterator[Entry]:
    """The packages whose name contains the text, whatever its case; never a regular expression."""
    wanted = query.casefold()
    return (package for package in packages if wanted in package.name.casefold())


def written(packages: Iterable[Entry]) -> bytes:
    """As a list."""
    return listed(package.raw for package in packages)
