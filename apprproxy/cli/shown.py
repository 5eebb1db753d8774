"""Sizes and times for people; whatever came from upstreams goes without control characters."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from apprproxy.ops.logs import plain
from apprproxy.store.index.membership import Origin, upstream_of

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_FEW = 3


def size(count: float) -> str:
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def place(origin: Origin) -> str:
    return plain(f"{upstream_of(origin.where.upstream)}/{origin.where.repository}")


def places(origins: list[Origin]) -> str:
    """Some of them."""
    more = f" and {len(origins) - _FEW} more" if len(origins) > _FEW else ""
    return ", ".join(place(origin) for origin in origins[:_FEW]) + more


def origin(one: Origin) -> dict[str, Any]:
    return {
        "upstream": plain(upstream_of(one.where.upstream)),
        "repository": plain(one.where.repository),
        "source": plain(", ".join(one.sources)) or None,
        "at": one.at,
    }


def as_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document))
