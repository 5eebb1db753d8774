"""App Registry as spoken to an upstream: what to ask, and what the answer means. No I/O.

An authoritative *no* is a JSON error with a code of the protocol's, flat (appr, cnr) or wrapped in ``error`` (Quay);
HTML is an outage.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from apprproxy.appregistry import paths, shapes
from apprproxy.appregistry.paths import Blob, Channels, Package, Packages, Path, Release, Version, write_path
from apprproxy.appregistry.push_body import pushed_archive
from apprproxy.appregistry.resolve import NotARange, may_mean, resolve
from apprproxy.appregistry.shapes import NotTheShape, PackageManifest
from apprproxy.core.digest import Digest
from apprproxy.core.documents import NotADocument, parsed
from apprproxy.core.errors import Lied, Malformed, NotThere, Outage, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import KIB, BlobWant, Descriptor, Expected, Found, NameWant, Write
from apprproxy.core.ports.upstream import Lane, Plan, Reply, Request

_JSON = "application/json"
_EMPTY = re.compile(rb"\s*\[\s*\]\s*")
_GZIP = "application/x-gzip"
_MAX_ANSWER = 8 * KIB
"""Of an error document that is remembered and passed on; a longer one is told in our words."""
_NO_STATUS = {400, 401, 403, 404, 405, 409, 410, 422}
_NO_CODES = {
    "channel-not-found",
    "forbidden",
    "invalid-parameters",
    "invalid-release",
    "invalid-usage",
    "invalid-version",
    "package-exists",
    "package-not-found",
    "package-release-not-found",
    "package-version-not-found",
    "resource-in-use",
    "resource-not-found",
    "unauthorized-access",
    "unsupported",
}
"""The words of appr, cnr and Quay. What stands before them speaks JSON as well, and a balancer's ``NoSuchBucket`` would
hand the name to the next member of a view."""


Judge = Callable[[Reply], UpstreamFault | None]


class AppRegistryDialect:
    """``prefix`` is what stands between the upstream's URL and ``/api/v1``."""

    def __init__(self, upstream: str, prefix: str = "/cnr") -> None:
        self._upstream = upstream
        self._prefix = prefix

    def lookup(self, want: NameWant) -> Plan[Found]:
        match want.kind:
            case Kind.VERSION:
                return self._document(Version(want.place), want, shapes.check_object)
            case Kind.PACKAGES:
                return self._packages(want)
            case Kind.PACKAGE:
                return self._manifests(Package(want.place, want.repository, want.name), want)
            case Kind.RELEASE:
                release, _, media_type = want.name.partition("/")
                path = Release(want.place, want.repository, release, media_type)
                return self._manifest(path, want) if media_type else self._manifests(path, want)
            case Kind.PRESENCE:
                return self._presence(want)
            case Kind.REPOSITORY:
                return self._repository(want)
            case Kind.CHANNELS:
                return self._document(Channels(want.place, want.repository), want, shapes.check_channels)
            case Kind.CHANNEL:
                return self._channel(want)
            case _:
                raise ValueError(f"{want.kind} is not asked of an App Registry")

    def blob_request(self, want: BlobWant) -> Request:
        return self._request(Blob(want.place, want.repository, want.expected.digest), want.kind, Lane.BLOBS)

    def judge(self, reply: Reply) -> UpstreamFault | None:
        if reply.status == 200:
            return None
        error = _error(reply.body)
        if error is not None and reply.status in _NO_STATUS:
            try:
                flat = orjson.dumps(error)
            except orjson.JSONEncodeError:  # nested deeper than it writes
                return self._failed(reply.status)
            sentence = str(error.get("message") or error["code"])[:200]
            answer = flat.decode() if len(flat) < _MAX_ANSWER else None
            return NotThere(self._upstream, f"says {sentence}", reply.status, answer)
        return self._failed(reply.status)

    def _failed(self, status: int) -> Outage:
        no_word = "" if status >= 500 else " that is no App Registry answer"
        return Outage(self._upstream, f"answered {status}{no_word}", status)

    def write(self, write: Write) -> Request:
        headers = {"Accept": _JSON, **({"Content-Type": write.content_type} if write.content_type else {})}
        return Request(
            write.method,
            f"{self._prefix}{write.path}",
            write.query,
            headers=headers,
            body=write.body,
            about=f"_write?{write.repository}",
            kind="write",
            as_caller=True,
            authorization=write.authorization,
        )

    def archive(self, write: Write) -> bytes:
        return pushed_archive(write.body)

    def children(self, body: bytes) -> Sequence[Expected]:
        return shapes.children(body)

    def with_digests(self, want: NameWant, body: bytes, digests: Mapping[str, Digest]) -> bytes:
        changed: bytes = self._shaped(lambda document: shapes.with_digests(document, digests), body)
        return changed

    # --- plans

    def _document(self, path: Path, want: NameWant, check: Callable[[bytes], Any]) -> Plan[Found]:
        """A document that claims nothing that could be verified."""
        body = yield from self._body(path, want)
        self._shaped(check, body)
        return _found(body)

    def _channel(self, want: NameWant) -> Plan[Found]:
        body = yield from self._body(Channels(want.place, want.repository, want.name), want)
        channel: shapes.Channel = self._shaped(shapes.read_channel, body)
        self._refuse_others(want.name, channel.name, "channel ")
        return _found(body)

    def _presence(self, want: NameWant) -> Plan[Found]:
        """Does it have a package of this digest? By HEAD, and by GET where that leaves the question open; the package
        itself is not read."""
        digest = Digest.parse(want.name)
        path = Blob(want.place, want.repository, digest)
        reply = yield replace(self._request(path, want.kind), method="HEAD")
        if reply.status != 200:
            reply = yield from self._answered(replace(self._request(path, want.kind, Lane.BLOBS), headers_only=True))
        if reply.headers.get("content-type", "").lower().startswith("text/html"):
            raise Outage(self._upstream, "answered with a page where a package was asked for", reply.status)
        return Found(Descriptor(digest, -1, _GZIP))

    def _repository(self, want: NameWant) -> Plan[Found]:
        """Has the package a release at all? One whose releases were all deleted is as good as not there."""
        body = yield from self._body(Package(want.place, want.repository), want)
        if not self._shaped(shapes.read_manifests, body):
            raise NotThere(self._upstream, f"has no release of {want.repository}")
        return Found(Descriptor(Digest.of(body), len(body), _JSON))

    def _packages(self, want: NameWant) -> Plan[Found]:
        path = f"{self._prefix}{write_path(Packages(want.place))[0]}"
        asked = Request("GET", path, want.name, about=want.about, kind=want.kind.label)
        reply = yield from self._answered(asked, self._judge_list)
        self._shaped(shapes.check_packages, reply.body)
        return _found(reply.body)

    def _manifests(self, path: Package | Release, want: NameWant) -> Plan[Found]:
        body = yield from self._body(path, want)
        manifests: list[PackageManifest] = self._shaped(shapes.read_manifests, body)
        for manifest in manifests:
            self._check_echo(path, manifest)
        return _found(body, manifests, path)

    def _manifest(self, asked: Release, want: NameWant) -> Plan[Found]:
        path = asked
        try:
            body = yield from self._body(path, want)
        except NotThere as no:
            if path.format != "-" or no.status != 404:
                raise
            path = yield from self._only_format(path, want, no)
            body = yield from self._body(path, want)
        manifest: PackageManifest = self._shaped(shapes.read_manifest, body)
        self._check_echo(path, manifest)
        return _found(body, [manifest], asked)

    def _only_format(self, path: Release, want: NameWant, no: NotThere) -> Plan[Release]:
        """The release and format that ``-`` means, for servers that do not know it (cnr, Quay)."""
        try:
            body = yield from self._body(Package(path.place, path.package), want)
        except NotThere:
            raise no from None
        manifests: list[PackageManifest] = self._shaped(shapes.read_manifests, body)
        releases = {manifest.release for manifest in manifests}
        try:
            release = path.release if path.release in releases else resolve(path.release, releases)
        except NotARange as error:
            raise self._no(422, "invalid-release", str(error), {"release": path.release}) from None
        if release is None:
            sentence = f"No release match '{path.release}' for package '{path.package}'"
            details = {"package": path.package, "release_query": path.release}
            raise self._no(404, "package-release-not-found", sentence, details)
        formats = sorted(manifest.format for manifest in manifests if manifest.release == release)
        if len(formats) != 1:
            raise self._no(400, "invalid-usage", f"media-type non specified: [{','.join(formats)}]", {})
        try:
            return Release(path.place, path.package, release, paths.format_name(formats[0]))
        except Malformed:
            raise Outage(self._upstream, f"has a format that cannot be asked for: {formats[0][:80]!r}", 200) from None

    def _no(self, status: int, code: str, message: str, details: dict[str, str]) -> NotThere:
        """As the genuine server would say it, had it known the question."""
        error = orjson.dumps({"code": code, "message": message, "details": details})
        return NotThere(self._upstream, f"says {message}", status, error.decode())

    def _body(self, path: Path, want: NameWant) -> Plan[bytes]:
        reply = yield from self._answered(self._request(path, want.kind))
        return reply.body

    def _answered(self, request: Request, judge: Judge | None = None) -> Plan[Reply]:
        reply = yield request
        if (fault := (judge or self.judge)(reply)) is not None:
            raise fault
        return reply

    def _judge_list(self, reply: Reply) -> UpstreamFault | None:
        fault = self.judge(reply)
        if isinstance(fault, NotThere) and _is_of_a_package(reply.body):
            return Outage(self._upstream, f"has no list, for one of its packages: it {fault.sentence}", reply.status)
        return fault

    def _request(self, path: Path, kind: Kind, lane: Lane = Lane.NAMES) -> Request:
        accept = "application/x-gzip, */*" if lane is Lane.BLOBS else _JSON
        where, query = write_path(path)
        about = getattr(path, "package", f"_{kind}")
        headers = {"Accept": accept}
        return Request("GET", f"{self._prefix}{where}", query, headers=headers, about=about, kind=kind.label, lane=lane)

    def _shaped(self, read: Callable[[bytes], Any], body: bytes) -> Any:
        try:
            return read(body)
        except NotTheShape as error:
            raise Outage(self._upstream, f"sent a document that is not what was asked for: {error}", 200) from None

    def _check_echo(self, path: Package | Release, manifest: PackageManifest) -> None:
        """A manifest of something else would fix the wrong name, and what is asked for would be free to move."""
        self._refuse_others(path.package, manifest.package, "")
        if isinstance(path, Release):
            if not may_mean(path.release, manifest.release):
                self._refuse_others(path.release, manifest.release, "release ")
            if path.format not in ("", "-"):
                self._refuse_others(path.format, manifest.format, "format ")

    def _refuse_others(self, asked: str, got: str, what: str) -> None:
        if asked != got:
            raise Lied(self._upstream, f"answered for {got[:80]!r} where {what}{asked!r} was asked for")


def _found(body: bytes, manifests: Sequence[PackageManifest] = (), path: Package | Release | None = None) -> Found:
    titles = {manifest.title: manifest.digest for manifest in manifests}
    asked = path.release if isinstance(path, Release) else ""
    by_any = isinstance(path, Release) and path.format == "-"
    others = {manifest.format for manifest in manifests if asked not in ("", manifest.release)}
    others |= {"-"} if others and by_any else set()
    passed_over = tuple(shapes.title_of(path.package, asked, one) for one in sorted(others)) if path else ()
    aliases = {title: shapes.any_title_of(title) for title in titles}
    alias = next(iter(aliases.values())) if by_any else ""
    target = Descriptor(Digest.of(body), len(body), _JSON)
    empty = bool(_EMPTY.fullmatch(body))
    return Found(target, body, titles=titles, passed_over=passed_over, aliases=aliases, alias=alias, empty=empty)


def _is_of_a_package(no: bytes) -> bool:
    """Is it about one package? That is no word on what else there is: the genuine servers answer so where a list has a
    package that they fail at, as whoever may push one can make it."""
    details = (_error(no) or {}).get("details")
    return isinstance(details, dict) and bool(details.get("package"))


def _error(body: bytes) -> dict[str, Any] | None:
    """The error object of a *no*, flat; None where the body is none."""
    try:
        document = parsed(body)
    except NotADocument:
        return None
    if not isinstance(document, dict):
        return None
    inner = document.get("error")
    error = inner if isinstance(inner, dict) else document
    code = error.get("code")
    return error if isinstance(code, str) and code in _NO_CODES else None
