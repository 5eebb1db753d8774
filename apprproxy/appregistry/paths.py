"""A path below ``…/api/v1`` <-> what it asks for. The one place that knows both ways of writing it. Pure.

Served below ``/cnr/api/v1``, ``/api/v1`` and ``/<upstream or view>/cnr/api/v1``. One trailing slash is tolerated
everywhere, as the genuine servers do; the genuine client sends one.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Malformed, UnknownPlace
from apprproxy.core.grammar import FORMAT, NO_RELEASE, PACKAGE_PART
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place
from apprproxy.face.places import Places
from apprproxy.face.target import Target

_NAME = re.compile(PACKAGE_PART)
_RELEASE = re.compile(rf"(?!{NO_RELEASE}$)[0-9A-Za-z.+~^<>=!*,_-]{{1,128}}")
_FORMAT = re.compile(rf"-|{FORMAT}")
_CHANNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MAX_QUERY = 256


@dataclass(frozen=True, slots=True)
class Version:
    place: Place


@dataclass(frozen=True, slots=True)
class Packages:
    """``query`` is what to look for, taken literally; it is not sent on."""

    place: Place
    namespace: str = ""
    media_type: str = ""
    query: str = ""

    @property
    def filters(self) -> str:
        """What an upstream is asked to filter by, as a query string; equal filters are equal text."""
        pairs = (("namespace", self.namespace), ("media_type", self.media_type))
        return urlencode([pair for pair in pairs if pair[1]])


@dataclass(frozen=True, slots=True)
class Search:
    """``text`` is looked for in the names of packages, literally; empty finds nothing."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Package:
    place: Place
    package: str
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """All manifests of a release, or with ``format`` (``-`` for the only one) a single one."""

    place: Place
    package: str
    release: str
    format: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """``json`` asks for the archive in base64 inside a JSON object."""

    place: Place
    package: str
    release: str
    format: str
    json: bool


@dataclass(frozen=True, slots=True)
class Blob:
    place: Place
    package: str
    digest: Digest
    json: bool = False


@dataclass(frozen=True, slots=True)
class Channels:
    """All channels, or one."""

    place: Place
    package: str
    channel: str = ""


Path = Version | Packages | Search | Package | Release | Pull | Blob | Channels


def parse_path(target: Target, places: Places) -> Path:
    """Raises Malformed, or UnknownPlace for what is not served."""
    place, rest = placed(target.segments, places)
    match rest:
        case ("version",):
            return Version(place)
        case ("api", "v1", "packages", *below):
            return _packages(place, tuple(below), target)
        case _:
            raise UnknownPlace("there is no such end point here")


def placed(segments: tuple[str, ...], places: Places) -> tuple[Place, tuple[str, ...]]:
    """Who is asked, and what follows the prefix, without a trailing slash; raises UnknownPlace."""
    match segments:
        case (*before, "") if before:
            return placed(tuple(before), places)
        case ("api", *_):
            return places.unnamed(), segments
        case ("cnr", *rest):
            return places.unnamed(), tuple(rest)
        case (name, "cnr", *rest):
            return places.named(name), tuple(rest)
        case _:
            raise UnknownPlace("there is no such end point here")


def _packages(place: Place, below: tuple[str, ...], target: Target) -> Path:
    json = target.get("format") == "json"
    match below:
        case ():
            return _list(place, target)
        case ("search",):
            return Search(place, _text(target.get("q")))
        case (namespace, name):
            return Package(
                place, package_name(namespace, name), _optional(_FORMAT, target.get("media_type"), "media type")
            )
        case (namespace, name, "blobs", "sha256", digest):
            return Blob(place, package_name(namespace, name), _digest(digest), json)
        case (namespace, name, "blobs", "sha256", digest, "json"):
            return Blob(place, package_name(namespace, name), _digest(digest), json=True)
        case (namespace, name, "channels"):
            return Channels(place, package_name(namespace, name))
        case (namespace, name, "channels", channel):
            return Channels(place, package_name(namespace, name), channel_name(channel))
        case (namespace, name, release):
            return Release(place, package_name(namespace, name), release_name(release))
        case (namespace, name, release, media_type):
            return Release(place, package_name(namespace, name), release_name(release), format_name(media_type))
        case (namespace, name, release, media_type, "pull"):
            return Pull(place, package_name(namespace, name), release_name(release), format_name(media_type), json)
        case (namespace, name, release, media_type, "pull", "json"):
            return Pull(place, package_name(namespace, name), release_name(release), format_name(media_type), json=True)
        case _:
            raise UnknownPlace("there is no such end point here")


def _list(place: Place, target: Target) -> Packages:
    return Packages(
        place,
        _optional(_NAME, target.get("namespace"), "namespace"),
        _optional(_FORMAT, target.get("media_type"), "media type"),
        _text(target.get("query")),
    )


def write_path(path: Path) -> tuple[str, str]:
    """Path and query of a request to an upstream, below its prefix."""
    base = "/api/v1/packages"
    match path:
        case Version():
            return "/version", ""
        case Packages():
            return base, path.filters
        case Search(_, text):
            return f"{base}/search", urlencode({"q": text}) if text else ""
        case Package(_, package, media_type):
            return f"{base}/{package}", urlencode({"media_type": media_type}) if media_type else ""
        case Release(_, package, release, ""):
            return f"{base}/{package}/{quote(release, safe='')}", ""
        case Release(_, package, release, media_type):
            return f"{base}/{package}/{quote(release, safe='')}/{media_type}", ""
        case Pull(_, package, release, media_type, json):
            return f"{base}/{package}/{quote(release, safe='')}/{media_type}/pull", "format=json" if json else ""
        case Blob(_, package, digest, json):
            return f"{base}/{package}/blobs/sha256/{digest.hex}", "format=json" if json else ""
        case Channels(_, package, ""):
            return f"{base}/{package}/channels", ""
        case Channels(_, package, channel):
            return f"{base}/{package}/channels/{channel}", ""


def _matching(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise Malformed(f"not a {what}: {text[:80]!r}")
    return text


def _optional(pattern: re.Pattern[str], text: str | None, what: str) -> str:
    return _matching(pattern, text, what) if text else ""


def _text(query: str | None) -> str:
    text = query or ""
    if len(text) > _MAX_QUERY or not text.isprintable():
        raise Malformed(f"the query is longer than {_MAX_QUERY} characters or has control characters")
    return text


def package_name(namespace: str, name: str) -> str:
    return f"{_matching(_NAME, namespace, 'package namespace')}/{_matching(_NAME, name, 'package name')}"


def release_name(text: str) -> str:
    """``default``, a version or a range; blanks mean nothing in a range."""
    return _matching(_RELEASE, text.replace(" ", ""), "release")


def format_name(text: str) -> str:
    return _matching(_FORMAT, text, "media type")


def channel_name(text: str) -> str:
    return _matching(_CHANNEL, text, "channel")


def _digest(text: str) -> Digest:
    try:
        return Digest("sha256", text)
    except MalformedDigest as error:
        raise Malformed(str(error), "DIGEST_INVALID") from None


def release_want(place: Place, package: str, release: str, media_type: str) -> NameWant:
    """One manifest of a release, ``-`` for the only one there is; without a format the list of all of them."""
    return NameWant(place, Kind.RELEASE, package, f"{release}/{media_type}" if media_type else release)
