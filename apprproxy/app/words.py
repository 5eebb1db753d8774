"""The search and provenance, put together: which protocol reads which upstream's lists, and how a name is written."""

from collections.abc import Mapping
from pathlib import Path

from apprproxy.api.provenance import Provenances, Wanted
from apprproxy.app.doors import places
from apprproxy.appregistry.listed import PackageLists, PackageNames
from apprproxy.core.errors import UnknownPlace
from apprproxy.core.listing import Lists, Names
from apprproxy.core.model import Place
from apprproxy.core.ports import Clock, FirstSeens, Index, Observer
from apprproxy.core.trace import Traces
from apprproxy.face.places import Places
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.member import Member
from apprproxy.oci.listed import OciLists, OciNames
from apprproxy.search.index import Search
from apprproxy.search.keeper import Keeper, Searched
from apprproxy.search.learning import Learning
from apprproxy.settings import Settings
from apprproxy.store.kept_lists import KeptLists

LISTS: Mapping[str, Lists] = {"appr": PackageLists(), "oci": OciLists()}
_NAMES: Mapping[str, Names] = {"appr": PackageNames(), "oci": OciNames()}


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
    return Searched(name, LISTS[upstream.kind], stamp, upstream.fresh_for)


def provenances(
    settings: Settings,
    gateway: Gateway,
    members: Mapping[str, Member],
    index: Index,
    seen: FirstSeens,
    traces: Traces,
) -> Provenances:
    by_kind = {kind: places(settings, kind) for kind in _NAMES}

    def wanted(text: str) -> Wanted:
        kind = "appr" if "@" in text else "oci"
        place, rest = _placed(text, by_kind[kind])
        return Wanted(_NAMES[kind].wants(place, rest), _NAMES[kind].pinned)

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
