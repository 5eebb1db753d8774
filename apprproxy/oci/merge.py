"""Catalogs of several registries as one list. Pure; idempotent; the order of the members makes no difference."""

from collections.abc import Callable, Iterable

from apprproxy.core.documents import fields

Admits = Callable[[str, str], bool]
"""Does what this member lists under a name count?"""


def merged_catalogs(catalogs: Iterable[tuple[str, bytes]], admits: Admits) -> tuple[str, ...]:
    """Of members and what each sent: sorted, each name once, whoever has it; without what does not count."""
    return tuple(
        sorted({name for member, document in catalogs for name in _repositories(document) if admits(member, name)})
    )


def _repositories(document: bytes) -> list[str]:
    """Of a document that has been checked, read as it was checked."""
    repositories, _ = fields(document).get("repositories", ((), b""))
    return repositories or []
