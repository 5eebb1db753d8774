"""The protocols that are spoken here, each with all that it is made of: to add one is to add an entry.

What its configuration may say is in ``settings.protocols``.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from apprproxy.appregistry import shapes
from apprproxy.appregistry.dialect import AppRegistryDialect
from apprproxy.appregistry.list_reader import PackageListReader
from apprproxy.appregistry.locked import LockedPackages
from apprproxy.appregistry.routes import AppRegistryFace
from apprproxy.appregistry.spelling import PackageSpelling
from apprproxy.core.listing import ListReader
from apprproxy.core.lock import Lock
from apprproxy.core.model import Expected
from apprproxy.core.ports.upstream import Dialect, Locked, Speaks
from apprproxy.core.spelling import Spelling
from apprproxy.face.door import Face
from apprproxy.face.large import Large
from apprproxy.face.places import Places
from apprproxy.gateway.gateway import Gateway
from apprproxy.gateway.members.sibling import Sibling
from apprproxy.oci import manifest
from apprproxy.oci.dialect import OciDialect
from apprproxy.oci.list_reader import OciListReader
from apprproxy.oci.locked import LockedTags
from apprproxy.oci.mirror import OciMirror
from apprproxy.oci.routes import OciFace
from apprproxy.oci.spelling import OciSpelling
from apprproxy.oci.static import StaticTree
from apprproxy.settings import Settings
from apprproxy.settings.mirror import Mirror
from apprproxy.settings.protocols import ProtocolName
from apprproxy.settings.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Protocol:
    """``dialect`` and ``locked`` are given the upstream's name, ``mirror`` the mirror's. ``unasked``: its servers never
    say that they want a login, so that ours is sent with every request. ``children`` is what documents name, be their
    upstream configured or not."""

    face: Callable[[Gateway, Places, Large], Face]
    dialect: Callable[[str, Upstream], Dialect]
    mirror: Callable[[str, Mirror], Speaks]
    locked: Callable[[str, Callable[[], Lock]], Locked]
    lists: ListReader
    spelling: Spelling
    children: Callable[[bytes], Sequence[Expected]]
    unasked: bool = False


PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    "oci": Protocol(
        face=OciFace,
        dialect=lambda name, _: OciDialect(name),
        mirror=lambda name, mirror: OciMirror(name, mirror.repositories),
        locked=LockedTags,
        lists=OciListReader(),
        spelling=OciSpelling(),
        children=manifest.children,
    ),
    "appr": Protocol(
        face=AppRegistryFace,
        dialect=lambda name, upstream: AppRegistryDialect(name, upstream.full_prefix),
        mirror=lambda name, mirror: AppRegistryDialect(name, mirror.prefix or ""),
        locked=LockedPackages,
        lists=PackageListReader(),
        spelling=PackageSpelling(),
        children=shapes.children,
        unasked=True,
    ),
}

LISTS: Mapping[str, ListReader] = {name: protocol.lists for name, protocol in PROTOCOLS.items()}


def speaks(name: str, mirror: Mirror) -> Speaks:
    """How a mirror is asked. ``mirror`` is filled in."""
    if mirror.kind == "static":
        return StaticTree(name)
    assert mirror.kind is not None
    asked = PROTOCOLS[mirror.kind].mirror(name, mirror)
    return Sibling(asked) if mirror.sibling else asked


def kinds_of(settings: Settings, name: str) -> set[ProtocolName]:
    """What an upstream or the members of a view speak; none where there is neither of that name."""
    members = settings.views[name].members if name in settings.views else [name]
    return {settings.upstreams[member].kind for member in members if member in settings.upstreams}


def protocol_of(title: str, kinds: Collection[ProtocolName] = ()) -> ProtocolName:
    """Whose name that is. ``kinds`` are those of whom it is asked; where they are none, as of what was written down, or
    several, its spelling says so: a package's has an @, a tag's has none."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "appr" if "@" in title else "oci"
