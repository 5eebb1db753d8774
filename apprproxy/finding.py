"""The search and provenance without a server: the gateway's own objects, on the cache that a gateway may be using."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from apprproxy.api.told import provenance_document, search_document
from apprproxy.app import App, build_beside
from apprproxy.app.protocols import LISTS
from apprproxy.core.errors import UnknownPlace
from apprproxy.core.listing import Base
from apprproxy.core.model import Clock
from apprproxy.ops.logs import plain
from apprproxy.search.query import query
from apprproxy.settings import Settings
from apprproxy.settings.fields import split_address
from apprproxy.store.names.names import DiskNames

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 — recognised, not listened on


async def search(
    settings: Settings,
    text: str,
    *,
    kind: str | None = None,
    view: str | None = None,
    limit: int | None = None,
    now: Clock = time.time,
) -> dict[str, Any]:
    """What ``/api/search`` would say, with what can be learned of each result; raises Failure or BadConfiguration."""
    wanted = query(text, kind, view, None if limit is None else str(limit), frozenset(LISTS))
    if view is not None and view not in {**settings.views, **settings.upstreams}:
        raise UnknownPlace(f"there is no view or upstream {view!r} in the configuration")
    async with _built(settings, now) as app:
        await app.search.find(wanted)
        await app.search.rest()
        return search_document(await app.search.find(wanted), LISTS, base(settings))


async def provenance(settings: Settings, name: str, *, now: Clock = time.time) -> dict[str, Any]:
    """What ``/api/provenance`` would say, and of a release that was pulled by its format what it would say of that;
    raises Failure or BadConfiguration."""
    async with _built(settings, now) as app:
        try:
            return provenance_document(await app.provenances.of(name))
        except UnknownPlace:
            formats = await asyncio.to_thread(_formats, app.names, name)
            if len(formats) > 1:
                raise UnknownPlace(f"that is several: say which of {', '.join(formats)}") from None
            if not formats:
                raise
            return provenance_document(await app.provenances.of(formats[0]))


def _formats(names: DiskNames, release: str) -> list[str]:
    """What was seen of its formats (``-`` is none). Walks all names, as only a command may."""
    seen = (f"{upstream}/{title}" for upstream, title, _ in names.all_first_seen() if "@" in title)
    return [name for name in seen if name.startswith(f"{release}/") and name != f"{release}/-"]


@asynccontextmanager
async def _built(settings: Settings, now: Clock) -> AsyncIterator[App]:
    app = build_beside(settings, now=now)
    try:
        yield app
    finally:
        await app.close()


def base(settings: Settings) -> Base:
    """The gateway's first address, as a client on this machine reaches it."""
    host, port = split_address(settings.server.addresses[0])
    host = _EVERYWHERE.get(host, host)
    written = f"[{host}]" if ":" in host else host
    return Base(f"{written}:{port}", settings.server.tls is not None)


def search_lines(found: dict[str, Any]) -> Iterator[str]:
    """For a terminal: nothing in them can paint it."""
    for one in found["results"]:
        versions = _counted(one["versions"])
        latest = f"  {one['latest']}" if one["latest"] else ""
        channels = f"  channels {', '.join(one['channels'])}" if one["channels"] else ""
        yield plain(f"{one['upstream']}/{one['name']}{latest}{versions}{channels}")
        yield from (plain(f"    {command['command']}") for command in one["pull"])
    if not found["results"]:
        yield "nothing found"
    elif found["more"]:
        yield "and more: --limit shows them"


def _counted(versions: int | None) -> str:
    return "" if versions is None else f"  {versions} version{'' if versions == 1 else 's'}"


def provenance_lines(told: dict[str, Any]) -> Iterator[str]:
    """For a terminal, as well."""
    yield plain(f"{told['name']}  {told['digest']}")
    first = told["first_seen"]
    said = "whose lock file says so"
    if told["checked"]:
        said = f"which confirmed it last {told['checked']} and says so since {told['since']}"
        if first and first["moved_to"]:
            said = f"which says something else, and was asked last {told['checked']}"
    yield plain(f"  owner       {told['owner']}, {said}")
    if first:
        moved = f", and moved to {first['moved_to']}" if first["moved_to"] else ""
        if first["digest"] != told["digest"] and not moved:
            moved = ", which was accepted; what is held is of before, until it is pulled again"
        yield plain(f"  first seen  {first['digest']}  {first['at']}{moved}")
    yield f"  pinned      {'yes' if told['pinned'] else 'no'}"
    for part in told["parts"]:
        yield plain(f"  bytes       {part['digest']}  {_came(part)}")
    for one in told["refused"]:
        yield plain(f"  refused     {one['subject']}  {one['source']} {one['at']}: {one['got'] or one['reason']}")


def _came(part: dict[str, Any]) -> str:
    if not part["held"]:
        return "not held"
    sources = ", ".join(f"{came['source']} {came['at']}" for came in part["sources"])
    return f"{sources or 'here because of another repository'}, verified {part['verified']}"
