"""What changes an App Registry: push, delete, channels, login; parsed at the door like everything else. Pure.

A write goes on with the caller's own Authorization, and its body as it came.
"""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from apprproxy.appregistry import paths
from apprproxy.appregistry.push_body import pushed_titles
from apprproxy.core.errors import Malformed, NotAllowed, UnknownPlace
from apprproxy.core.kind import Kind
from apprproxy.core.model import MIB, NameWant, Place, Write
from apprproxy.face.places import Places
from apprproxy.face.target import Target

MAX_BODY = 96 * MIB
"""A package of 64 MiB in base64, and what stands around it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A write without its body, which ``pushes`` a package, or does not. ``changed`` as in ``Write``; of a push its
    body says that."""

    place: Place
    method: str
    path: str
    query: str = ""
    package: str = ""
    changed: tuple[str, ...] = ()
    pushes: bool = False

    def with_body(self, body: bytes, content_type: str, authorization: str | None) -> Write:
        """Blocking; raises Malformed."""
        titles = pushed_titles(self.package, body) if self.pushes else ()
        changed = _of_title(self.place, titles[0]) if titles else self.changed
        return Write(
            self.place,
            self.method,
            self.path,
            self.query,
            content_type,
            body,
            authorization,
            self.package,
            changed,
            titles,
        )


def parse_write(method: str, target: Target, places: Places) -> Change:
    """Raises Malformed, UnknownPlace, or NotAllowed for what can only be read."""
    place, rest = paths.placed(target.segments, places)
    match method, rest:
        case "POST", ("api", "v1", "users", "login"):
            return Change(place, method, "/api/v1/users/login")
        case _, ("api", "v1", "packages", namespace, name, *below):
            package = paths.package_name(namespace, name)
            change = _change(method, place, package, tuple(below), target)
            _refuse_misread_prefix(method, namespace, name, places)
            return change
        case _, ("api", "v1", "packages") | ("version",):
            raise NotAllowed("this can only be read")
        case _:
            raise UnknownPlace("there is no such end point here")


def _change(method: str, place: Place, package: str, below: tuple[str, ...], target: Target) -> Change:
    base = f"/api/v1/packages/{package}"
    match method, below:
        case "POST", ():
            force = target.get("force")
            query = urlencode({"force": force}) if force in ("true", "false") else ""
            return Change(place, method, base, query, package, pushes=True)
        case "DELETE", (release, media_type) if release != "channels":
            release, media_type = paths.release_name(release), paths.format_name(media_type)
            led = _release(place, package, "default", media_type)
            changed = (*_release(place, package, release, media_type), *led, *_lists(place, package, media_type))
            return Change(place, method, f"{base}/{quote(release, safe='')}/{media_type}", "", package, changed)
        case "POST" | "DELETE", ("channels", channel, release):
            channel = paths.channel_name(channel)
            path = f"{base}/channels/{channel}/{quote(paths.release_name(release), safe='')}"
            return Change(place, method, path, "", package, _channel(place, package, channel))
        case "DELETE", ("channels", channel):
            channel = paths.channel_name(channel)
            return Change(place, method, f"{base}/channels/{channel}", "", package, _channel(place, package, channel))
        case _:
            raise NotAllowed("this can only be read")


def _release(place: Place, package: str, release: str, media_type: str) -> tuple[str, ...]:
    """In that format, and as it is asked for without one."""
    return tuple(paths.release_want(place, package, release, one).key for one in (media_type, "-", ""))


def _lists(place: Place, package: str, media_type: str) -> tuple[str, ...]:
    """Of the package's releases. Where the last one is deleted there is none, and what was would be kept as gone."""
    return tuple(NameWant(place, Kind.PACKAGE, package, name).key for name in ("", media_type))


def _of_title(place: Place, title: str) -> tuple[str, ...]:
    package, _, name = title.partition("@")
    release, _, media_type = name.partition("/")
    return _release(place, package, release, media_type)


def _channel(place: Place, package: str, channel: str) -> tuple[str, ...]:
    return (NameWant(place, Kind.CHANNEL, package, channel).key, NameWant(place, Kind.CHANNELS, package).key)


def _refuse_misread_prefix(method: str, namespace: str, name: str, places: Places) -> None:
    """``appr push http://gateway/up/alice/nginx`` posts package ``up/alice``: the client reads the URL otherwise than
    for a pull."""
    if method == "POST" and places.find(namespace) is not None:
        raise Malformed(
            f"{namespace!r} is an upstream here, not a package namespace: the appr client drops the last part of"
            f" a pushed URL that has a prefix. Make an alias (appr config alias up http://THIS-GATEWAY/{namespace}) and"
            f" push to up/{name}/PACKAGE"
        )
