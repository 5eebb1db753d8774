"""Request lines: what is parsed is written in one way, and parsed again it is the same."""

from contextlib import suppress

from apprproxy.appregistry import paths as packages
from apprproxy.appregistry.writes import parse_write
from apprproxy.core.errors import ClientFault, Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place
from apprproxy.face.places import Places
from apprproxy.face.target import Target, parse_target
from apprproxy.gateway.members.rules import Rules
from apprproxy.oci import paths as oci
from apprproxy.oci.paging import asked_page, paged
from apprproxy.search.query import LONGEST, query
from tests.fuzz.laws import is_remembered, may_be_told, text

_HUB = Place("hub", ("hub",))
_PLACES = Places({"hub": _HUB}, Place("default", ("hub",)), {"registry.example": _HUB})
_NAMES = ("a", "b", "c", "d")


def targets(data: bytes) -> None:
    try:
        target = parse_target(text(data))
    except Malformed as failure:
        may_be_told(failure)
        return
    assert all(segment.isprintable() or not segment.isascii() for segment in target.segments)
    _oci(target)
    _packages(target)
    _writes(target)
    _page(target)
    _query(target)


def _oci(target: Target) -> None:
    try:
        path = oci.parse_path(target.segments[1:], _PLACES, target.get("ns"))
    except ClientFault as failure:
        may_be_told(failure)
        return
    written = parse_target(oci.write_path(path)).segments
    place = _PLACES.unnamed() if isinstance(path, oci.Ping) else path.place
    assert "v2" == written[0]
    assert path == oci.parse_path(written[1:], Places({}, place))
    if isinstance(path, oci.Manifest) and isinstance(path.reference, str):
        is_remembered(NameWant(place, Kind.TAG, path.repository, path.reference))


def _packages(target: Target) -> None:
    try:
        path = packages.parse_path(target, _PLACES)
    except ClientFault as failure:
        may_be_told(failure)
        return
    where, asked = packages.write_path(path)
    again = packages.parse_path(parse_target(f"/cnr{where}?{asked}"), Places({}, path.place))
    if isinstance(path, packages.Packages):
        is_remembered(NameWant(path.place, Kind.PACKAGES, name=path.filters))
        assert isinstance(again, packages.Packages)
        assert path.filters == again.filters
        return
    assert path == again
    if isinstance(path, packages.Release):
        is_remembered(NameWant(path.place, Kind.RELEASE, path.package, f"{path.release}/{path.format}"))


def _writes(target: Target) -> None:
    """A change is of the package whose rules were asked."""
    for method in ("POST", "DELETE"):
        try:
            change = parse_write(method, target, _PLACES)
        except ClientFault as failure:
            may_be_told(failure)
            continue
        again = parse_write(method, parse_target(f"/cnr{change.path}?{change.query}"), Places({}, change.place))
        assert change == again
        assert not change.package or Rules("hub", allow=(change.package,)).refusal(again.package) is None


def _page(target: Target) -> None:
    try:
        page = asked_page(target)
    except Malformed as failure:
        may_be_told(failure)
        return
    if page is not None:
        chosen, more = paged(_NAMES, page)
        assert set(chosen) <= set(_NAMES)
        assert more is None or asked_page(parse_target(f"/?{more}")) is not None


def _query(target: Target) -> None:
    with suppress(Malformed):
        asked = (target.get("q"), target.get("kind"), target.get("view"), target.get("limit"))
        wanted = query(*asked, frozenset({"oci", "appr"}))
        assert 1 <= len(wanted.text) <= LONGEST
        assert wanted.text.isascii()
        assert 1 <= wanted.limit <= 100
