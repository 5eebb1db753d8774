"""Names whose whole closure is kept, and fetched where it is not held yet."""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from apprproxy.app import App
from apprproxy.app.linked import link_below
from apprproxy.app.members import open_in
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Failure, Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected, NameWant, Where, want_of
from apprproxy.core.ports.store import Held
from apprproxy.oci.manifest import DOCKER_LIST, INDEX, media_type
from apprproxy.store.blobs.part import linked_content
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.index.membership import Open, upstream_of
from apprproxy.upkeep.folder import Folder
from apprproxy.upkeep.there import is_there
from apprproxy.upkeep.title import Title, parse, records_of
from apprproxy.upkeep.told import Told

AT_ONCE = 4
_HIDDEN = "it is held, and not known to be in this repository"
"""As what came by another upstream: its owner has to say so, once."""
_ANOTHER = "it is held, and came by another url or account than the configuration has now for this upstream"
_LOST = "the index has it, and its file is not there, or not whole"
_UNLINKED = "it may be held, and no link leads to it: `apprproxy cache verify` makes links again"
_NO_NAME = "nobody can be asked for such a name, as a damaged index may leave one: `apprproxy cache unpin` takes it"
_UNNAMED = "no name here leads to it: names/ of the cache was not carried along, or its owner says that there is none"
_GROWN = "the list of its referrers has changed since"


@dataclass(frozen=True, slots=True)
class Pin:
    """``missing`` has the keys that are not held, or not to be shown, with the reason where there is something to say.
    ``failure`` says why there is no pin."""

    name: str
    root: str = ""
    held: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    failure: str = ""


def pins(folder: Folder) -> list[Pin]:
    named = ((name, _title(name), root) for name, root in folder.ledger.pinned.pins().items())
    return [
        _pin(folder, title, root) if title is not None else Pin(name, str(root), failure=_NO_NAME)
        for name, title, root in named
    ]


def titles(pinned: Iterable[str]) -> list[Title]:
    """Of pins, as far as their names are some."""
    return [title for name in pinned if (title := _title(name)) is not None]


def _title(name: str) -> Title | None:
    try:
        return parse(name)
    except Malformed:
        return None


def pin(folder: Folder, title: Title) -> Pin:
    """As far as the cache knows the name. Blocking."""
    root = title.digest
    for record in records_of(folder.names, title).values():
        root = root or record.target.digest
    if root is None:
        return Pin(title.text, failure="nothing is known of it here; --fetch asks its upstream")
    folder.ledger.pinned.pin(title.text, root)
    return _pin(folder, title, root)


def _pin(folder: Folder, title: Title, root: Digest) -> Pin:
    identity = folder.identities.get(title.upstream)
    where = Where(identity, title.repository) if identity is not None else None
    held, missing = _held(folder.root, folder.ledger, folder.open, title, where, root)
    return Pin(title.text, str(root), held, missing | _unnamed(folder, title, root))


def _unnamed(folder: Folder, title: Title, root: Digest) -> dict[str, str]:
    """The bytes are of no use to who asks for the name."""
    if title.want is None or title.upstream in folder.locked:
        return {}
    records = records_of(folder.names, title)
    if title.want.kind is Kind.REFERRERS and any(record.target.digest != root for record in records.values()):
        return {title.text: _GROWN}
    return {} if records else {title.text: _UNNAMED}


def _held(
    directory: Path, ledger: Ledger, open_: Open, title: Title, where: Where | None, root: Digest
) -> tuple[int, dict[str, str]]:
    """How many blobs of it a gateway gives without asking anybody, and the keys of the others. A list is its name's
    answer, and no repository shows it."""
    closure, missing, held = ledger.pinned.closure(title.text), dict[str, str](), 0
    listed = str(root) if title.want is not None and not title.want.kind.content else ""
    for key in closure.held:
        if not is_there(directory, Expected.of_key(key), ledger.counted):
            missing[key] = _UNLINKED if Expected.of_key(key).content is None else _LOST
        elif where is not None and key != listed and not ledger.membership.shows(where, key, open_):
            missing[key] = _why_hidden(directory, ledger, where, key)
        else:
            held += 1
    return held, dict.fromkeys(closure.missing, "") | missing


def _why_hidden(directory: Path, ledger: Ledger, where: Where, key: str) -> str:
    expected = Expected.of_key(key)
    content = expected.content or linked_content(directory, expected.digest)
    came = ledger.membership.provenance(content) if content is not None else []
    others = {one.where.upstream for one in came} - {where.upstream}
    return _ANOTHER if upstream_of(where.upstream) in map(upstream_of, others) else _HIDDEN


async def fetch(app: App, title: Title, told: Told, most: float = math.inf) -> Pin:
    """Pinned first, so that nothing of it is evicted while the rest arrives; then as before, where it turns out to lack
    more than ``most`` blobs. ``told`` of blobs."""
    upstream = app.settings.upstreams.get(title.upstream)
    if upstream is None or upstream.kind != title.protocol:
        there = ", ".join(name for name, one in app.settings.upstreams.items() if one.kind == title.protocol) or "none"
        failure = f"no upstream {title.upstream!r} of kind {title.protocol} is configured; there is {there}"
        return Pin(title.text, failure=failure)
    before = (await asyncio.to_thread(app.ledger.pinned.pins)).get(title.text)
    try:
        root = await _root(app, title)
    except Failure as failure:
        return Pin(title.text, failure=str(failure))
    where, directory = app.members[title.upstream].where(title.repository), app.settings.cache.directory.absolute()
    kinds, reasons, rules = Kinds(app, title.text), dict[str, str](), open_in(app.settings)
    while True:
        held, missing = await asyncio.to_thread(_held, directory, app.ledger, rules, title, where, root)
        if not (keys := [key for key in missing if key not in reasons]):
            return Pin(title.text, str(root), held, {key: reasons[key] or why for key, why in missing.items()})
        if len(reasons) + len(keys) > most:
            await asyncio.to_thread(_put_back, app, title, before)
            stays = "stays pinned as it was" if before is not None else "is not pinned"
            return Pin(title.text, failure=f"it leads to more than {most} blobs that are not held, and {stays}")
        told.expect(len(reasons) + len(keys))
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(_fetched(app, title, key, kinds, limit, told)) for key in keys}
        reasons |= {key: task.result() for key, task in tasks.items()}


def _put_back(app: App, title: Title, before: Digest | None) -> None:
    """Anybody may have made it lead to more than before."""
    if before is None:
        app.ledger.pinned.unpin(title.text)
    else:
        app.ledger.pinned.pin(title.text, before)


async def _root(app: App, title: Title) -> Digest:
    """The document that the name points at: pinned, held, and with what it names written down."""
    if title.want is not None:
        held = (await app.gateway.lookup(title.want)).document
        if title.want.kind.content:
            held = await _owned(app, title, title.want, held)
        await _others_asked(app, title, title.want)
        await _pinned(app, title, held.digest)
    else:
        assert title.digest is not None
        await _pinned(app, title, title.digest)
        held = await _manifest(app, title, title.digest)
    children = app.members[title.upstream].dialect.children
    await asyncio.to_thread(link_below, app.disk.find_here, app.ledger.membership, children, held.digest)
    return held.digest


async def _owned(app: App, title: Title, want: NameWant, held: Held) -> Held:
    """What the name points at, shown in its repository: its owner says so by the name, maybe before the index was lost
    that knew it. Not where the name is remembered of another account, and this one's owner does not send it."""
    where, rules = app.members[title.upstream].where(title.repository), open_in(app.settings)

    async def is_anothers(held: Held) -> bool:
        return await asyncio.to_thread(app.ledger.membership.is_anothers, where, str(held.digest), rules)

    if await is_anothers(held):
        held = (await app.gateway.lookup(want, again=True)).document
    if not await is_anothers(held):
        await app.index.shown(where, str(held.digest))
    return held


async def _others_asked(app: App, title: Title, want: NameWant) -> None:
    """A release goes by several names, of which one that stayed as it was would contradict the others offline."""
    for key in await asyncio.to_thread(records_of, app.names, title):
        other = want_of(title.place, key)
        if other is not None and other != want:
            with suppress(Failure):  # it says what it said
                await app.gateway.lookup(other)


async def _pinned(app: App, title: Title, root: Digest) -> None:
    await asyncio.to_thread(app.ledger.pinned.pin, title.text, root)


async def _manifest(app: App, title: Title, digest: Digest) -> Held:
    return await app.gateway.keep(BlobWant(title.place, title.repository, Expected(digest), Kind.MANIFEST))


@dataclass(slots=True)
class Kinds:
    """Of what a pin covers: an index names manifests, a manifest names blobs; a registry keeps the two apart. What
    documents of others call it is nothing to this pin."""

    app: App
    name: str
    _indexes: dict[str, bool] = field(default_factory=dict)

    async def of(self, key: str) -> Kind:
        for parent in await asyncio.to_thread(self.app.ledger.pinned.parents, self.name, key):
            if await self._is_index(parent):
                return Kind.MANIFEST
        return Kind.BLOB

    async def _is_index(self, key: str) -> bool:
        if key not in self._indexes:
            held = await self.app.disk.find(Expected(Digest.parse(key)))
            if held is None:  # lost, and maybe on its way
                return False
            self._indexes[key] = media_type(await held.read()) in (INDEX, DOCKER_LIST)
        return self._indexes[key]


async def _fetched(app: App, title: Title, key: str, kinds: Kinds, limit: asyncio.Semaphore, told: Told) -> str:
    """Why it could not be had; empty where it is held now. What is held has its owner asked whether it is there."""
    async with limit:
        expected = Expected.of_key(key)
        try:
            await app.gateway.keep(BlobWant(title.place, title.repository, expected, await kinds.of(key)))
        except Failure as failure:
            return str(failure)
        finally:
            told(1)
        return "" if await app.disk.find(expected) is not None else "it came, and there is no room to keep it"
