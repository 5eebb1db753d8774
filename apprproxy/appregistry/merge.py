"""Lists of several upstreams as one. Pure; idempotent; the first upstream that has a name owns it."""

from collections.abc import Iterable, Mapping
from typing import Any


def merged_packages(lists: Iterable[Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """In the order of the lists, then in each list's own; objects are passed on whole, unknown fields included."""
    owned: dict[str, Mapping[str, Any]] = {}
    for packages in lists:
        for package in packages:
            owned.setdefault(str(package["name"]), package)
    return list(owned.values())
