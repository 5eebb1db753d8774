"""What clients reach: the faces, the places they serve, and the pages for operators."""

from apprproxy.api.routes import ApiFace
from apprproxy.app.protocols import PROTOCOLS
from apprproxy.core.host import Host
from apprproxy.core.model import Place
from apprproxy.face.door import Door, Report
from apprproxy.face.large import Large
from apprproxy.face.places import Places
from apprproxy.face.server import Limits
from apprproxy.gateway.gateway import Gateway
from apprproxy.ops.logs import bind_request
from apprproxy.ops.metrics import Metrics
from apprproxy.ops.pages import OpsPages, welcome
from apprproxy.ops.requests import log_request
from apprproxy.settings import Settings
from apprproxy.store.directory.place import writable
from apprproxy.store.index.database import Database
from apprproxy.store.names.names import DiskNames


def doors(
    settings: Settings,
    gateway: Gateway,
    api: ApiFace,
    ours: str,
    metrics: Metrics,
    names: DiskNames,
    database: Database,
) -> tuple[Door, Door]:
    """The one for clients, and the one that only operators reach."""

    def report(report: Report) -> None:
        metrics.report(report)
        log_request(report)

    def ready() -> str | None:
        return names.database.still_away() or None

    def ails() -> str:
        directory = settings.cache.directory.absolute()
        unwritten = "" if writable(directory) else f"{directory} cannot be written, and so nothing is kept"
        return "; ".join(filter(None, (database.damage, names.database.damage, unwritten)))

    large = Large()
    apart = settings.server.ops is not None
    faces = (
        api,
        *(protocol.face(gateway, places(settings, name), large) for name, protocol in PROTOCOLS.items()),
        OpsPages(ready, ails, None if apart else metrics.text, welcome(clients=True, metrics=not apart)),
    )
    stall = settings.server.limits.stall
    return (
        Door(faces, ours, stall, report, bind_request, _hosts(settings)),
        Door(
            (OpsPages(ready, ails, metrics.text, welcome(clients=False, metrics=True)),),
            ours,
            stall,
            report,
            bind_request,
        ),
    )


def _hosts(settings: Settings) -> frozenset[Host] | None:
    """By which clients may come where an account is for who is on this machine. With TLS no page gets through: it has
    no certificate for its host."""
    accounts = [upstream.account for upstream in settings.upstreams.values()]
    if settings.server.tls is not None or all(account is None or account.share for account in accounts):
        return None
    return frozenset(Host.parse(host) for view in settings.views.values() for host in view.hosts)


def places(settings: Settings, protocol: str) -> Places:
    """Upstreams that speak it, and every view with its members that do."""
    by_name = {
        name: Place.of(name, protocol) for name, upstream in settings.upstreams.items() if upstream.kind == protocol
    }
    for name, view in settings.views.items():
        members = tuple(member for member in view.members if settings.upstreams[member].kind == protocol)
        if members:
            by_name[name] = Place(name, members, protocol)
    unnamed = tuple(settings.default_view(protocol))
    by_host = {
        host: by_name[name]
        for name, upstream in settings.upstreams.items()
        for host in upstream.ns
        if upstream.kind == protocol
    }
    by_view_host = {Host.parse(host): by_name.get(name) for name, view in settings.views.items() for host in view.hosts}
    return Places(by_name, Place("default", unnamed, protocol) if unnamed else None, by_host, by_view_host)


def limits_of(settings: Settings) -> Limits:
    limits = settings.server.limits
    return Limits(limits.header, limits.idle, limits.stall, limits.connections)
