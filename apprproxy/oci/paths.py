"""A path below ``/v2/`` <-> what it asks for. The one place that knows both ways of writing it."""

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


Path = Ping | Manifest | Blob | Tags


def parse_path(segments: tuple[str, ...], places: Places) -> Path:
    """``segments`` without the leading ``v2``. Raises Malformed, or UnknownPlace for what is not served."""
    match segments:
        case () | ("",):
            return Ping()
        case (*name, "manifests", reference):
            place, repository = _repository(name, places)
            is_digest = ":" in reference
            return Manifest(place, repository, names.digest(reference) if is_digest else names.tag(reference))
        case (*name, "blobs", digest):
            place, repository = _repository(name, places)
            return Blob(place, repository, names.digest(digest))
        case (*name, "tags", "list"):
            place, repository = _repository(name, places)
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


def _repository(segments: list[str], places: Places) -> tuple[Place, str]:
    """A first segment that names an upstream or a view is that; otherwise the view ``default`` is asked."""
    if not segments:
        raise Malformed("the path names no repository", "NAME_INVALID")
    place = places.find(segments[0])
    if place is not None:
        return place, names.repository("/".join(segments[1:]))
    repository = names.repository("/".join(segments))
    return places.unnamed(), repository
