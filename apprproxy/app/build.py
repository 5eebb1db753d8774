"""The object graph of one gateway, put together in one place."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import nan

from apprproxy import __version__
from apprproxy.api.provenance import Provenances
from apprproxy.api.routes import ApiFace
from apprproxy.app.doors import doors
from apprproxy.app.finding import provenances, search
from apprproxy.app.linked import cover_pins
from apprproxy.app.members import (
    World,
    credentials_in,
    identities_in,
    member,
    mirrors_of,
    open_in,
    owned_in,
    public_in,
)
from apprproxy.app.protocols import LISTS
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Event, Observer
from apprproxy.core.model import Clock
from apprproxy.face.door import Door
from apprproxy.gateway.delivery.delivery import Delivery
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.kept.first_seen import FirstSeenDigests
from apprproxy.gateway.kept.misses import Misses
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member
from apprproxy.ops.journal import Journal
from apprproxy.ops.metrics import Metrics
from apprproxy.search.index import Search
from apprproxy.settings import Settings
from apprproxy.store.blobs.disk import DiskStore
from apprproxy.store.blobs.hot import HotStore
from apprproxy.store.blobs.unpacking import digest_inside
from apprproxy.store.directory.place import instance, prepare
from apprproxy.store.directory.runs import caps
from apprproxy.store.index.index import DiskIndex
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.names.brief import BriefMemory
from apprproxy.store.names.names import DiskNames
from apprproxy.store.names.noted import NamesWithNotes
from apprproxy.store.names.refusals import Refusals
from apprproxy.store.trace import DiskTraces
from apprproxy.upstream.http import HttpUpstream


@dataclass(frozen=True, slots=True)
class App:
    """Everything but the sockets. ``upstreams`` are the owners and the mirrors, ``observer`` is ``metrics``,
    ``journal`` and ``refusals`` in one. ``close`` when done."""

    settings: Settings
    gateway: Gateway
    names: DiskNames
    disk: DiskStore
    ledger: Ledger
    index: DiskIndex
    upstreams: tuple[HttpUpstream, ...]
    members: Mapping[str, Member]
    brief: BriefMemory
    metrics: Metrics
    journal: Journal
    observer: Observer
    search: Search
    provenances: Provenances
    refusals: Refusals
    door: Door
    ops_door: Door

    async def close(self) -> None:
        await self.search.close()
        await self.gateway.close()
        for upstream in self.upstreams:
            await upstream.close()
        await self.brief.close()
        await asyncio.to_thread(self.refusals.close)
        await asyncio.to_thread(self.disk.close)
        await self.index.close()
        await asyncio.to_thread(self.ledger.close)
        self.names.close()


def build(settings: Settings, *, now: Clock = time.time) -> App:
    """Raises StoreFailed where the cache directory cannot be used, BadConfiguration where a named file cannot."""
    return _built(settings, now, settings.cache.max_size, Ledger.sweep)


def build_beside(settings: Settings, *, now: Clock = time.time) -> App:
    """``build``, for a command: a cap that it was told otherwise than the gateways of this cache evicts nothing."""
    others = caps(settings.cache.directory.absolute() / "runs")
    return _built(settings, now, min(others, default=settings.cache.max_size), Ledger.join)


def _built(settings: Settings, now: Clock, max_size: int, begin: Callable[[Ledger, Callable[[], None]], None]) -> App:
    directory = settings.cache.directory.absolute()
    prepare(directory)
    ours = instance(directory)
    metrics, journal = Metrics(settings.upstreams, mirrors_of(settings)), Journal(now, credentials_in(settings))
    refusals = Refusals(directory / "refusals.json", now)
    observer = _all(metrics, journal, refusals)
    brief = BriefMemory(now)
    ledger = Ledger(directory, max_size, now, observer)
    disk = DiskStore(directory, observer, ledger, settings.delivery.max_blob, identities_in(settings))
    disk.sweep()
    begin(ledger, lambda: cover_pins(ledger, disk.find_here))
    with suppress(StoreFailed):  # what is not known to be everybody's is transferred once more
        ledger.membership.set_public(public_in(settings))
    metrics.read_held(lambda: _totals(ledger)[0], lambda: _totals(ledger)[1])
    names = DiskNames(directory / "names", observer)
    agent = {"User-Agent": f"apprproxy/{__version__}", "Via": f"1.1 apprproxy-{ours}"}
    world = World(agent, brief, observer, now, owned_in(settings))
    members = {name: member(name, upstream, world) for name, upstream in settings.upstreams.items()}
    index = DiskIndex(ledger, observer, open_in(settings))
    shelf = Shelf(
        NamesWithNotes(names),
        FirstSeenDigests(names, observer, now),
        HotStore(disk, settings.cache.memory, names.generation),
        index,
        brief,
        Misses(brief, names, now),
    )
    rules = settings.delivery
    delivery = Delivery(rules.patience, rules.max_blob, rules.stream, rules.side_range)
    gateway = Gateway(
        members.__getitem__, shelf, observer, now, delivery=delivery, unpacks=digest_inside, offline=settings.offline
    )
    metrics.read_waiting(lambda: gateway.waiting)
    searching = search(settings, gateway, members, directory, observer, now)
    traced = provenances(settings, gateway, members, index, names, DiskTraces(directory, ledger, refusals))
    return App(
        settings,
        gateway,
        names,
        disk,
        ledger,
        index,
        tuple(world.opened),
        members,
        brief,
        metrics,
        journal,
        observer,
        searching,
        traced,
        refusals,
        *doors(settings, gateway, ApiFace(searching, traced, LISTS), ours, metrics, names, ledger.database),
    )


def _all(*observers: Observer) -> Observer:
    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


def _totals(ledger: Ledger) -> tuple[float, float]:
    """Blobs and bytes held; not a number while the index cannot be read, which must not hide the other metrics."""
    try:
        totals = ledger.totals()
    except StoreFailed:
        return nan, nan
    return totals.blobs, totals.held
