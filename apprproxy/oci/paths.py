"""A path below ``/v2/`` <-> what it asks for. The one place that knows both ways of writing it. Pure."""

from dataclasses import dataclass

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed, UnknownPlace
from apprproxy.core.model import Place
from apprproxy.face.places import Places
from apprproxy.oci import names


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Manifest:
    """``reference`` is a digest, or a tag."""

    place: Place
    repository: str
    reference: Digest | str


@dataclass(frozen=True, slots=True)
class Blob:
    place: Place
    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Tags:
    place: Place
    repository: str


@dataclass(frozen=True, slots=True)
class Referrers:
    place: Place
    repository: str
    subject: Digest


@dataclass(frozen=True, slots=True)
class Catalog:
    place: Place


Path = Ping | Manifest | Blob | Tags | Referrers | Catalog


def parse_path(segments: tuple[str, ...], places: Places, host: str | None = None) -> Path:
    """``segments`` without the leading ``v2``; ``host`` is the ``ns`` of the query, which wins.

    Raises Malformed, or UnknownPlace for what is not served.
    """
    match segments:
        case () | ("",):
            return Ping()
        case ("_catalog",):
            return Catalog(places.unnamed() if host is None else places.hosting(host))
        case (name, "_catalog"):
            return Catalog(_prefixed(name, places, host))
        case (*name, "referrers", subject):
            place, repository = _repository(name, places, host)
            return Referrers(place, repository, names.digest(subject))
        case (*name, "manifests", reference):
            place, repository = _repository(name, places, host)
            is_digest = ":" in reference
            return Manifest(place, repository, names.digest(reference) if is_digest else names.tag(reference))
        case (*name, "blobs", digest):
            place, repository = _repository(name, places, host)
            return Blob(place, repository, names.digest(digest))
        case (*name, "tags", "list"):
            place, repository = _repository(name, places, host)
            return Tags(place, repository)
        case _:
            raise UnknownPlace("there is no such end point here")


def write_path(path: Path) -> str:
    """The path of a request to an upstream, below its base; nothing in parsed names needs escaping."""
    match path:
        case Ping():
            return "/v2/"
        case Manifest(_, repository, reference):
            return f"/v2/{repository}/manifests/{reference}"
        case Blob(_, repository, digest):
            return f"/v2/{repository}/blobs/{digest}"
        case Tags(_, repository):
            return f"/v2/{repository}/tags/list"
        case Referrers(_, repository, subject):
            return f"/v2/{repository}/referrers/{subject}"
        case Catalog():
            return "/v2/_catalog"


def _prefixed(name: str, places: Places, host: str | None) -> Place:
    """The place of that name; with ``host`` it can only be that host's."""
    if host is None:
        return places.named(name)
    hosting = places.hosting(host)
    if name != hosting.name:
        raise UnknownPlace(f"the upstream for the host {host[:80]!r} (ns) is not {name[:80]!r}")
    return hosting


def _repository(segments: list[str], places: Places, host: str | None) -> tuple[Place, str]:
    """A first segment that names an upstream or a view is that; otherwise the view ``default`` is asked.

    containerd sends ``ns`` to mirrors with a prefix too: a first segment that repeats the upstream's name is dropped.
    """
    if not segments:
        raise Malformed("the path names no repository", "NAME_INVALID")
    if host is not None:
        hosting = places.hosting(host)
        repeated = segments[0] == hosting.name and len(segments) > 1
        return hosting, names.repository("/".join(segments[1:] if repeated else segments))
    place = places.find(segments[0])
    if place is not None:
        return place, names.repository("/".join(segments[1:]))
    repository = names.repository("/".join(segments))
    return places.unnamed(), repository
