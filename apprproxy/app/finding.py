"""The search and provenance, put together: which protocol reads which upstream's lists, and what a name means."""

from collections.abc import Mapping
from pathlib import Path

from apprproxy.api.provenance import Provenances, Wanted
from apprproxy.app.doors import places
from apprproxy.app.protocols import PROTOCOLS, kinds_of, protocol_of
from apprproxy.core.errors import UnknownPlace
from apprproxy.core.events import Observer
from apprproxy.core.model import Clock, Place
from apprproxy.core.ports.store import FirstSeens, Index
from apprproxy.core.trace import Traces
from apprproxy.face.places import Places
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.members.member import Member
from apprproxy.search.index import Search
from apprproxy.search.keeper import Keeper, Searched
from apprproxy.search.learning import Learning
from apprproxy.settings import Settings
from apprproxy.store.names.kept_lists import KeptLists


def search(
    settings: Settings,
    gateway: Gateway,
    members: Mapping[str, Member],
    directory: Path,
    observer: Observer,
    now: Clock,
) -> Search:
    kept = KeptLists(directory / "search")
    keepers = {
        name: Keeper(_searched(name, settings, member), gateway, kept, observer, now)
        for name, member in members.items()
    }
    views = {name: view.members for name, view in settings.views.items()}
    return Search(keepers, views, Learning(gateway, now), now)


def _searched(name: str, settings: Settings, member: Member) -> Searched:
    upstream = settings.upstreams[name]
    stamp = f"{member.identity} {upstream.names}"
    return Searched(name, PROTOCOLS[upstream.kind].lists, stamp, upstream.fresh_for)


def provenances(
    settings: Settings,
    gateway: Gateway,
    members: Mapping[str, Member],
    index: Index,
    seen: FirstSeens,
    traces: Traces,
) -> Provenances:
    by_protocol = {protocol: places(settings, protocol) for protocol in PROTOCOLS}

    def wanted(text: str) -> Wanted:
        protocol = protocol_of(text, kinds_of(settings, text.partition("/")[0]))
        place, rest = _placed(text, by_protocol[protocol])
        spelling = PROTOCOLS[protocol].spelling
        return Wanted(spelling.wants(place, rest), spelling.meanings)

    return Provenances(gateway, wanted, members.__getitem__, index, seen, traces)


def _placed(text: str, places: Places) -> tuple[Place, str]:
    """As in clients' paths: a first part that names an upstream or a view is that. Raises UnknownPlace."""
    first, slash, rest = text.partition("/")
    place = places.find(first) if slash else None
    if place is not None:
        return place, rest
    if places.default is None:
        raise UnknownPlace(f"there is no upstream or view {first[:80]!r} of this protocol here")
    return places.default, text
