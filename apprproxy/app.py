"""Builds every object once and hands it down; the only module that names concrete classes."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from apprproxy import __version__
from apprproxy.appregistry.dialect import AppRegistryDialect
from apprproxy.appregistry.routes import AppRegistryFace
from apprproxy.core.events import Event
from apprproxy.core.model import Place, Terms
from apprproxy.core.ports import Clock, Dialect, Observer
from apprproxy.face.door import Door, Report
from apprproxy.face.places import Places
from apprproxy.face.server import Limits
from apprproxy.gateway.blobs import Delivery
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.member import Member
from apprproxy.gateway.misses import Misses
from apprproxy.gateway.pins import Pins
from apprproxy.gateway.shelf import Shelf
from apprproxy.oci.dialect import OciDialect
from apprproxy.oci.routes import OciFace
from apprproxy.ops.journal import Journal
from apprproxy.ops.logs import bind_request
from apprproxy.ops.metrics import Metrics
from apprproxy.ops.pages import OpsPages
from apprproxy.settings import BadConfiguration, Settings
from apprproxy.settings.model import ServerTls
from apprproxy.settings.upstream import Auth, ClientTls
from apprproxy.settings.upstream import Upstream as UpstreamSettings
from apprproxy.store.brief import BriefMemory
from apprproxy.store.disk import DiskStore
from apprproxy.store.hot import HotStore
from apprproxy.store.names import DiskNames
from apprproxy.store.place import instance, prepare, writable
from apprproxy.upstream.accounts import Accounts, NoAccount, docker_account_of, fixed, from_file, password_of
from apprproxy.upstream.auth import Account
from apprproxy.upstream.guard import Guard
from apprproxy.upstream.http import HttpUpstream
from apprproxy.upstream.sessions import Line, Sessions


@dataclass(frozen=True, slots=True)
class App:
    """Everything but the sockets. ``close`` when done."""

    settings: Settings
    gateway: Gateway
    names: DiskNames
    disk: DiskStore
    upstreams: tuple[HttpUpstream, ...]
    brief: BriefMemory
    metrics: Metrics
    door: Door
    ops_door: Door

    async def count_held(self) -> None:
        """Tell the metrics what the cache holds; a scan, so it runs beside the serving."""
        self.metrics.held(*await asyncio.to_thread(self.disk.count))

    async def close(self) -> None:
        await self.gateway.close()
        for upstream in self.upstreams:
            await upstream.close()
        await self.brief.close()
        await asyncio.to_thread(self.disk.close)
        self.names.close()


def build(settings: Settings, *, now: Clock = time.time) -> App:
    """Raises StoreFailed where the cache directory cannot be used, BadConfiguration where a named file cannot."""
    directory = settings.cache.directory.absolute()
    prepare(directory)
    ours = instance(directory)
    metrics, journal = Metrics(settings.upstreams), Journal()
    observer = _both(metrics, journal)
    brief = BriefMemory(now)
    disk = DiskStore(directory, observer, settings.delivery.max_blob)
    disk.sweep()
    names = DiskNames(directory / "names")
    agent = {"User-Agent": f"apprproxy/{__version__}", "Via": f"1.1 apprproxy-{ours}"}
    upstreams = {
        name: _upstream(name, upstream, agent, brief, observer, now) for name, upstream in settings.upstreams.items()
    }
    members = {name: _member(upstreams[name], settings.upstreams[name]) for name in upstreams}
    shelf = Shelf(
        names,
        Pins(names, observer, now),
        HotStore(disk, settings.cache.memory),
        brief,
        Misses(brief, names, now),
    )
    delivery = Delivery(settings.delivery.patience, settings.delivery.max_blob)
    gateway = Gateway(members.__getitem__, shelf, observer, now, delivery=delivery, offline=settings.offline)
    return App(
        settings,
        gateway,
        names,
        disk,
        tuple(upstreams.values()),
        brief,
        metrics,
        *_doors(settings, gateway, ours, metrics, journal, directory),
    )


def _both(*observers: Observer) -> Observer:
    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


def _doors(
    settings: Settings, gateway: Gateway, ours: str, metrics: Metrics, journal: Journal, directory: Path
) -> tuple[Door, Door]:
    def report(report: Report) -> None:
        metrics.report(report)
        journal.report(report)

    def ready() -> str | None:
        return None if writable(directory) else f"{directory} cannot be written"

    apart = settings.server.ops is not None
    faces = (
        OciFace(gateway, _places(settings, "oci")),
        AppRegistryFace(gateway, _places(settings, "appr")),
        OpsPages(ready, None if apart else metrics.text),
    )
    stall = settings.server.limits.stall
    return (
        Door(faces, ours, stall, report, bind_request),
        Door((OpsPages(ready, metrics.text),), ours, stall, report, bind_request),
    )


def _places(settings: Settings, kind: str) -> Places:
    """Upstreams of the kind, and every view with its members of the kind."""
    by_name = {
        name: Place(name, (name,), kind) for name, upstream in settings.upstreams.items() if upstream.kind == kind
    }
    for view, names in settings.views.items():
        members = tuple(name for name in names if settings.upstreams[name].kind == kind)
        if members:
            by_name[view] = Place(view, members, kind)
    unnamed = tuple(settings.default_view(kind))
    by_host = {
        host: by_name[name]
        for name, upstream in settings.upstreams.items()
        for host in upstream.ns
        if upstream.kind == kind
    }
    return Places(by_name, Place("default", unnamed, kind) if unnamed else None, by_host)


def _member(upstream: HttpUpstream, settings: UpstreamSettings) -> Member:
    dialect: Dialect
    if settings.kind == "oci":
        dialect = OciDialect(upstream.name)
    else:
        dialect = AppRegistryDialect(upstream.name, "/cnr" if settings.prefix is None else settings.prefix)
    terms = Terms(
        fresh_for=settings.fresh_for,
        stale_for=settings.stale_for,
        missing_for=settings.missing_for,
        moved=settings.moves,
        gone=settings.goes,
        writes=settings.writes,
        timeout=settings.timeouts.name,
        revalidate=settings.timeouts.revalidate,
    )
    return Member(upstream, dialect, terms)


def _upstream(
    name: str, settings: UpstreamSettings, agent: dict[str, str], brief: BriefMemory, observer: Observer, now: Clock
) -> HttpUpstream:
    auth = settings.auth
    guard = Guard(
        URL(settings.url), frozenset(settings.redirects), frozenset(auth.realms) if auth is not None else frozenset()
    )
    line = Line(
        settings.timeouts.connect,
        settings.timeouts.read,
        settings.connections,
        settings.proxy,
        _client_tls(name, settings.tls),
    )
    return HttpUpstream(
        name,
        guard,
        Sessions(line, agent),
        _account(name, auth, URL(settings.url)),
        brief,
        observer,
        now,
        unasked=settings.kind == "appr",
    )


def _account(name: str, auth: Auth | None, url: URL) -> Accounts:
    if auth is None:
        return fixed(None)
    try:
        if auth.docker_config is not None:
            return from_file(auth.docker_config, docker_account_of(*_written(url)))
        if auth.password_file is not None:
            return from_file(auth.password_file, password_of(auth.username))
    except NoAccount as error:
        key = "docker_config" if auth.docker_config is not None else "password_file"
        raise BadConfiguration(f"upstreams.{name}.auth.{key}: {error}") from None
    return fixed(Account(auth.username, auth.password.get_secret_value() if auth.password else ""))


def _written(url: URL) -> set[str]:
    """Its host as people write it: with its port, and without where that is the default."""
    return {f"{url.host_subcomponent}:{url.port}", str(url.host_port_subcomponent)}


def _client_tls(name: str, settings: ClientTls) -> ssl.SSLContext | bool:
    if settings == ClientTls():
        return True
    try:
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise BadConfiguration(f"upstreams.{name}.tls: {error.strerror or error}") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_tls(settings: ServerTls | None) -> ssl.SSLContext | None:
    """Raises BadConfiguration."""
    if settings is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise BadConfiguration(f"server.tls: {error.strerror or error}") from None
    return context


def limits_of(settings: Settings) -> Limits:
    limits = settings.server.limits
    return Limits(limits.header, limits.idle, limits.stall, limits.connections)
