"""Packages and releases of a server that is not trusted for names: composed from its lock file, not one byte from it.

Channels are names that move, which no lock file has: the list of them is empty, and none can be asked for.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from apprproxy.appregistry.resolve import NotARange, highest_first, resolve
from apprproxy.core import lock as locks
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Denied, Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.lock import Lock, not_locked
from apprproxy.core.model import Descriptor, Found, NameWant

_Releases = Mapping[locks.Release, Digest]


class LockedPackages:
    """Implements Locked. ``lock`` gives the file as it is now."""

    def __init__(self, upstream: str, lock: Callable[[], Lock]) -> None:
        self._upstream = upstream
        self._lock = lock

    def find(self, want: NameWant) -> Found:
        """Raises Denied; Malformed where the package is locked and no single release of it is meant."""
        match want.kind:
            case Kind.PACKAGES:
                return _found(self._packages(want))
            case Kind.PACKAGE:
                return _found(_manifests(want.repository, self._releases(want, "RELEASE"), want.name))
            case Kind.RELEASE:
                return _found(self._release(want))
            case Kind.CHANNELS:
                self._releases(want, "RELEASE")
                return _found([])
            case _:
                raise Denied(
                    f"the {want.kind} of {want.repository or 'the server'} at {self._upstream} is not served:"
                    f" upstreams.{self._upstream}.names is locked, and a lock file has releases only"
                )

    def _packages(self, want: NameWant) -> list[dict[str, Any]]:
        asked = parse_qs(want.name)
        (media_type,) = asked.get("media_type", [""])
        listed = []
        for package, locked in sorted(self._lock().releases.items()):
            formats = {one: digest for one, digest in locked.items() if media_type in ("", one.format)}
            if formats and want.within in ("", package.partition("/")[0]):
                listed.append(_listed(package, formats))
        return listed

    def _release(self, want: NameWant) -> list[dict[str, Any]] | dict[str, Any]:
        """One manifest with a format, ``-`` for the only one there is; all of the release's without."""
        asked, slash, media_type = want.name.partition("/")
        locked = self._releases(want, want.name)
        if not slash:
            exact = {one: digest for one, digest in locked.items() if one.release == asked}
            if not exact:
                raise not_locked(self._upstream, f"{want.repository}@{asked}")
            return _manifests(want.repository, exact, "")
        one = self._meant(want, locked, asked, media_type)
        return {"channels": [], **_manifest(want.repository, one, locked[one])}

    def _meant(self, want: NameWant, locked: _Releases, asked: str, media_type: str) -> locks.Release:
        releases = {one.release for one in locked if media_type in ("-", one.format)}
        release = asked if asked in releases else self._resolved(want, releases, asked)
        formats = sorted(one.format for one in locked if one.release == release)
        if media_type == "-" and len(formats) > 1:
            raise Malformed(f"media-type non specified: [{','.join(formats)}]")
        return locks.Release(release, formats[0] if media_type == "-" else media_type)

    def _resolved(self, want: NameWant, releases: set[str], asked: str) -> str:
        """A range, within what is locked."""
        try:
            release = resolve(asked, releases)
        except NotARange as error:
            raise Malformed(str(error)) from None
        if release is None:
            raise not_locked(self._upstream, f"{want.repository}@{want.name}".removesuffix("/-"))
        return release

    def _releases(self, want: NameWant, name: str) -> _Releases:
        locked = self._lock().releases.get(want.repository)
        if locked is None:
            raise not_locked(self._upstream, f"{want.repository}@{name}".removesuffix("/-"))
        return locked


def _listed(package: str, locked: _Releases) -> dict[str, Any]:
    releases = highest_first({one.release for one in locked})
    formats = sorted(one.format for one in locked if one.release == releases[0])
    return {
        "default": releases[0],
        "manifests": formats,
        "name": package,
        "releases": releases,
        "visibility": "public",
    }


def _manifests(package: str, locked: _Releases, media_type: str) -> list[dict[str, Any]]:
    return [_manifest(package, one, digest) for one, digest in locked.items() if media_type in ("", one.format)]


def _manifest(package: str, one: locks.Release, digest: Digest) -> dict[str, Any]:
    """As appr-server says it, without what a lock file does not know: the time, the size."""
    return {
        "content": {
            "digest": digest.hex,
            "mediaType": f"application/vnd.appr.package.{one.format}.v0.tar+gzip",
            "urls": [],
        },
        "mediaType": f"application/vnd.appr.package-manifest.{one.format}.v0.json",
        "metadata": None,
        "package": package,
        "release": one.release,
    }


def _found(document: object) -> Found:
    body = orjson.dumps(document)
    return Found(Descriptor(Digest.of(body), len(body), "application/json"), body)
