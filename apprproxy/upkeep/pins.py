"""Names whose whole closure is kept, and fetched where it is not held yet."""

import asyncio
from dataclasses import dataclass, field

from apprproxy.app import App
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Failure
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected
from apprproxy.core.ports.store import Held
from apprproxy.oci.manifest import DOCKER_LIST, INDEX, media_type
from apprproxy.store.disk import DiskStore
from apprproxy.store.holdings import Holdings
from apprproxy.upkeep.folder import Folder
from apprproxy.upkeep.title import Title, expected_of, records_of
from apprproxy.upkeep.told import Told

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pin:
    """``missing`` has the keys that are not held, with the reason where they were asked for. ``failure`` says why
    there is no pin."""

    name: str
    root: str = ""
    held: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    failure: str = ""


def pins(folder: Folder) -> list[Pin]:
    return [_pin(folder, name, root) for name, root in folder.ledger.pinned.pins().items()]


def pin(folder: Folder, title: Title) -> Pin:
    """As far as the cache knows the name. Blocking."""
    root = title.digest
    for record in records_of(folder.names, title).values():
        root = root or record.target.digest
    if root is None:
        return Pin(title.text, failure="nothing is known of it here; --fetch asks its upstream")
    folder.ledger.pinned.pin(title.text, root)
    return _pin(folder, title.text, root)


def _pin(folder: Folder, name: str, root: Digest) -> Pin:
    closure = folder.ledger.pinned.closure(name)
    return Pin(name, str(root), closure.held, dict.fromkeys(folder.ledger.pinned.missing(name), ""))


async def fetch(app: App, title: Title, told: Told) -> Pin:
    """Pinned first, so that nothing of it is evicted while the rest arrives. ``told`` of blobs."""
    upstream = app.settings.upstreams.get(title.upstream)
    if upstream is None or upstream.kind != title.protocol:
        there = ", ".join(name for name, one in app.settings.upstreams.items() if one.kind == title.protocol) or "none"
        failure = f"no upstream {title.upstream!r} of kind {title.protocol} is configured; there is {there}"
        return Pin(title.text, failure=failure)
    try:
        root = await _root(app, title)
    except Failure as failure:
        return Pin(title.text, failure=str(failure))
    failures: dict[str, str] = {}
    asked = 0
    while missing := [key for key in await _missing(app, title) if key not in failures]:
        limit, asked = asyncio.Semaphore(_AT_ONCE), asked + len(missing)
        told.expect(asked)
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(_fetched(app, title, key, limit, told)) for key in missing}
        failures |= {key: task.result() for key, task in tasks.items() if task.result()}
    closure = await asyncio.to_thread(app.ledger.pinned.closure, title.text)
    left = {key: failures.get(key, "") for key in await _missing(app, title)}
    return Pin(title.text, str(root), closure.held, left)


async def _root(app: App, title: Title) -> Digest:
    """The document that the name points at: pinned, held, and with what it names written down."""
    if title.want is not None:
        held = (await app.gateway.lookup(title.want)).document
        await _pinned(app, title, held.digest)
    else:
        assert title.digest is not None
        await _pinned(app, title, title.digest)
        held = await _manifest(app, title, title.digest)
    children = app.members[title.upstream].dialect.children(await held.read())
    await app.index.link(held.digest, children)
    return held.digest


async def _pinned(app: App, title: Title, root: Digest) -> None:
    await asyncio.to_thread(app.ledger.pinned.pin, title.text, root)


async def _manifest(app: App, title: Title, digest: Digest) -> Held:
    return await app.gateway.keep(BlobWant(title.place, title.repository, Expected(digest), Kind.MANIFEST))


async def _missing(app: App, title: Title) -> list[str]:
    return await asyncio.to_thread(app.ledger.pinned.missing, title.text)


async def _fetched(app: App, title: Title, key: str, limit: asyncio.Semaphore, told: Told) -> str:
    """Why it could not be had; empty where it is held now."""
    async with limit:
        expected = expected_of(key)
        try:
            kind = await _kind(app, key)
            await app.gateway.keep(BlobWant(title.place, title.repository, expected, kind))
        except Failure as failure:
            return str(failure)
        finally:
            told(1)
        return "" if await app.disk.find(expected) is not None else "it came, and there is no room to keep it"


async def _kind(app: App, key: str) -> Kind:
    """An index names manifests, a manifest names blobs; a registry keeps the two apart."""
    for parent in await asyncio.to_thread(Holdings(app.ledger.database).named_by, key):
        if await _is_index(app.disk, Digest.parse(parent)):
            return Kind.MANIFEST
    return Kind.BLOB


async def _is_index(disk: DiskStore, digest: Digest) -> bool:
    held = await disk.find(Expected(digest))
    return held is not None and media_type(await held.read()) in (INDEX, DOCKER_LIST)
