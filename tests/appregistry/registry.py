"""A genuine App Registry server's behaviour in memory, as far as the recorded exchanges show it (appr-server 0.7.4).

Whatever it holds may be changed by hand, so that it lies, forgets and lacks like a broken one.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.appregistry.archives import unpacked

JSON = "application/json"
GZIP = "application/x-gzip"
LONG_AGO = "2026-11-20T18:00:00.000000"

Document = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What goes back to the gateway. ``announced`` replaces the true Content-Length."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None


def as_json(document: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str, details: Document) -> None:
        super().__init__(message)
        self.answer = as_json({"code": code, "message": message, "details": details}, status)


def no_package(package: str, release: str | None = None, media_type: str | None = None) -> Refused:
    message = f"package {package} doesn't exist, v: {release}, type: {media_type}"
    return Refused(
        404, "package-not-found", message, {"package": package, "release": release, "media_type": media_type}
    )


def precedence(release: str) -> tuple[Any, ...]:
    """Semantic versioning 2, section 11."""
    core, _, pre = release.partition("+")[0].partition("-")
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".")]
    return (tuple(int(number) for number in core.split(".")), pre == "", parts)


def html(status: int) -> Answer:
    return Answer(status, b"<!DOCTYPE HTML>\n<title>sorry</title>\n", "text/html")


class Registry:
    """``created_at`` gives a time to a package or a release; ``resolves`` to which release a range leads, or the answer
    it gets."""

    def __init__(
        self,
        created_at: Callable[[str], str] = lambda _: LONG_AGO,
        resolves: Mapping[tuple[str, str], str | Answer] | None = None,
    ) -> None:
        self.manifests: dict[tuple[str, str, str], Document] = {}
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.channels: dict[str, dict[str, Document]] = {}
        self.packages: dict[str, str] = {}
        self._created_at = created_at
        self._resolves = resolves or {}

    # --- what changes it

    def push(
        self, package: str, release: str, media_type: str, archive: bytes, metadata: object = None, *, digest: str = ""
    ) -> str:
        """The digest of the tar; ``digest`` stands in for an archive that is not to be had."""
        if not digest:
            digest = hashlib.sha256(unpacked(archive)).hexdigest()
            self.blobs[package, digest] = archive
        self.packages.setdefault(package, self._created_at(package))
        self.channels.setdefault(package, {})
        self.manifests[package, release, media_type] = {
            "content": {
                "digest": digest,
                "mediaType": f"application/vnd.appr.package.{media_type}.v0.tar+gzip",
                "size": len(archive),
                "urls": [],
            },
            "created_at": self._created_at(f"{package}@{release}/{media_type}"),
            "mediaType": f"application/vnd.appr.package-manifest.{media_type}.v0.json",
            "metadata": metadata,
            "package": package,
            "release": release,
        }
        return digest

    def delete(self, package: str, release: str, media_type: str) -> None:
        del self.manifests[package, release, media_type]
        for channel in self.channels[package].values():
            if release in channel["releases"]:
                channel["releases"].remove(release)

    def set_channel(self, package: str, channel: str, release: str) -> None:
        there = self.channels[package].setdefault(channel, {"name": channel, "releases": []})
        there["current"] = release
        there["releases"] = sorted({*there["releases"], release}, key=precedence, reverse=True)

    def unset_channel(self, package: str, channel: str, release: str) -> None:
        there = self.channels[package][channel]
        there["releases"].remove(release)
        there["current"] = there["releases"][0]

    # --- what reads it

    def answer(self, method: str, target: str) -> Answer:
        path, _, query = target.partition("?")
        segments = [unquote(segment) for segment in path.strip("/").split("/")]
        fields = dict(parse_qsl(query))
        if method not in ("GET", "HEAD"):
            return html(405)
        try:
            match segments:
                case ["cnr", "version"]:
                    return as_json({"appr-api": "0.7.4"})
                case ["cnr", "api", "v1", "packages"]:
                    return self._list(fields)
                case ["cnr", "api", "v1", "packages", "search"]:
                    return self._search(fields)
                case ["cnr", "api", "v1", "packages", namespace, name, *below]:
                    return self._package(f"{namespace}/{name}", below, fields)
                case _:
                    return html(404)
        except Refused as refusal:
            return refusal.answer

    def _package(self, package: str, below: list[str], fields: Mapping[str, str]) -> Answer:
        as_document = fields.get("format") == "json" or below[-1:] == ["json"]
        match [part for at, part in enumerate(below) if not (part == "json" and at == len(below) - 1)]:
            case ["blobs", "sha256", digest]:
                return self._blob(package, digest, as_document=as_document)
            case []:
                self._known(package)
                wanted = fields.get("media_type")
                found = [one for key, one in self._of(package).items() if wanted in (None, key[1])]
                return as_json(found)
            case ["channels"]:
                self._known(package)
                return as_json(list(self.channels[package].values()))
            case ["channels", channel]:
                if channel not in self.channels.get(package, {}):
                    message = f"No channel found for package '{channel}'"
                    raise Refused(404, "channel-not-found", message, {"package": channel})
                return as_json(self.channels[package][channel])
            case [release]:
                found = [one for key, one in self._of(package).items() if key[0] == release]
                if not found:
                    raise no_package(package, release)
                return as_json(found)
            case [release, media_type]:
                return as_json(self._with_channels(self._manifest(package, release, media_type)))
            case [release, media_type, "pull"]:
                return self._pull(self._manifest(package, release, media_type), as_document=as_document)
            case _:
                return html(404)

    def _of(self, package: str) -> dict[tuple[str, str], Document]:
        return {key[1:]: manifest for key, manifest in self.manifests.items() if key[0] == package}

    def _known(self, package: str) -> None:
        if package not in self.packages:
            raise no_package(package)

    def _manifest(self, package: str, asked: str, media_type: str) -> Document:
        self._known(package)
        release = self._resolved(package, asked)
        formats = sorted(key[1] for key in self._of(package) if key[0] == release)
        if not formats:
            message = f"No release match '{asked}' for package '{package}'"
            raise Refused(404, "package-release-not-found", message, {"package": package, "release_query": asked})
        if media_type == "-" and len(formats) > 1:
            raise Refused(400, "invalid-usage", f"media-type non specified: [{','.join(formats)}]", {})
        chosen = formats[0] if media_type == "-" else media_type
        if chosen not in formats:
            raise no_package(package, release, media_type)
        return self._of(package)[release, chosen]

    def _resolved(self, package: str, asked: str) -> str:
        known = self._resolves.get((package, asked), asked)
        if isinstance(known, Answer):
            refusal = Refused(0, "", "", {})
            refusal.answer = known
            raise refusal
        if known == "default":
            return max((key[0] for key in self._of(package)), key=precedence)
        return known

    def _with_channels(self, manifest: Document) -> Document:
        channels = self.channels[manifest["package"]].values()
        return {**manifest, "channels": [one["name"] for one in channels if one["current"] == manifest["release"]]}

    def _search(self, fields: Mapping[str, str]) -> Answer:
        """A regular expression, as in the list; a bad one is a crash."""
        try:
            pattern = re.compile(fields.get("q", "$."))
        except re.error:
            return html(500)
        return as_json([package for package in self.packages if pattern.search(package)])

    def _list(self, fields: Mapping[str, str]) -> Answer:
        try:
            pattern = re.compile(fields.get("query", ""))
        except re.error:
            return html(500)
        wanted = fields.get("media_type")
        found = []
        for package, created_at in self.packages.items():
            releases = {key[0] for key in self._of(package) if wanted in (None, key[1])}
            namespace = package.partition("/")[0]
            if fields.get("namespace", namespace) != namespace or not pattern.search(package) or not releases:
                continue
            ordered = sorted(releases, key=precedence, reverse=True)
            formats = [wanted] if wanted else sorted(key[1] for key in self._of(package) if key[0] == ordered[0])
            found.append(
                {
                    "name": package,
                    "releases": ordered,
                    "default": ordered[0],
                    "created_at": created_at,
                    "visibility": "public",
                    "manifests": formats,
                }
            )
        return as_json(found)

    def _pull(self, manifest: Document, *, as_document: bool) -> Answer:
        package, release = manifest["package"], manifest["release"]
        archive = self.blobs[package, manifest["content"]["digest"]]
        media_type = manifest["mediaType"].removeprefix("application/vnd.appr.package-manifest.")[: -len(".v0.json")]
        filename = f"{package.replace('/', '_')}_{release}.tar.gz"
        extra = {"media_type": media_type}
        return _archive(package, release, filename, archive, extra if as_document else None)

    def _blob(self, package: str, digest: str, *, as_document: bool) -> Answer:
        archive = self.blobs.get((package, digest))
        if archive is None:
            raise no_package(package, digest)
        filename = f"{package.replace('/', '_')}_{digest[:8]}.tar.gz"
        return _archive(package, digest, filename, archive, {} if as_document else None)


def _archive(package: str, release: str, filename: str, archive: bytes, extra: Mapping[str, str] | None) -> Answer:
    if extra is None:
        return Answer(200, archive, GZIP, {"Content-Disposition": filename})
    document = {"package": package, "release": release, "filename": filename, **extra}
    return as_json({**document, "blob": base64.b64encode(archive).decode()})
