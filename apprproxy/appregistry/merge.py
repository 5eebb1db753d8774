"""Lists of several upstreams as one. Pure; idempotent; the first upstream that has a name owns it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

Admits = Callable[[str, str], bool]
"""Does what this member lists under a name count?"""


def merged_packages(lists: Iterable[Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """In the order of the lists, then in each list's own; objects are passed on whole, unknown fields included."""
    owned: dict[str, Mapping[str, Any]] = {}
    for packages in lists:
        for package in packages:
            owned.setdefault(str(package["name"]), package)
    return list(owned.values())


def merged_documents(lists: Iterable[tuple[str, bytes]], admits: Admits) -> list[Mapping[str, Any]]:
    """The same of members and what each sent, without what does not count: that keeps nobody from owning the name."""
    documents = ((member, orjson.loads(document)) for member, document in lists)
    return merged_packages(
        (package for package in document if admits(member, str(package["name"])))
        for member, document in documents
        if isinstance(document, list)
    )
