"""A lock file's text <-> which digest each name has. Pure.

``{"version": 1, "names": {"library/app:1.0": "sha256:…", "alice/nginx@0.1.0/helm": "sha256:…"}}``: a tag of an image
with the digest of its manifest, or a format of a package's release with the digest of its uncompressed tar.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Denied
from apprproxy.core.grammar import FORMAT, MAX_REPOSITORY, NO_RELEASE, PACKAGE_PART, REPOSITORY, TAG
from apprproxy.core.model import MIB

VERSION = 1
MAX_TEXT = 8 * MIB
"""Some fifty thousand names; it is read on the way of a request."""
_TAG = re.compile(rf"({REPOSITORY}):({TAG})")
_RELEASE = re.compile(
    rf"({PACKAGE_PART}/{PACKAGE_PART})@(?!{NO_RELEASE}/)([0-9A-Za-z][0-9A-Za-z.+_~-]{{0,127}})/({FORMAT})"
)
"""One release, and no range."""


class BadLock(ValueError):
    """``str`` says which key is wrong, and how."""


@dataclass(frozen=True, slots=True)
class Release:
    """One format of one release of a package."""

    release: str
    format: str


@dataclass(frozen=True, slots=True)
class Lock:
    """``names`` as they are written, and the same by repository and by package. Made by ``of`` and ``parse``."""

    names: Mapping[str, Digest] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, Digest]] = field(default_factory=dict)
    releases: Mapping[str, Mapping[Release, Digest]] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Mapping[str, Digest]) -> "Lock":
        """Raises BadLock."""
        tags: dict[str, dict[str, Digest]] = {}
        releases: dict[str, dict[Release, Digest]] = {}
        for name in sorted(names):
            if (tag := _TAG.fullmatch(name)) is not None and len(tag[1]) <= MAX_REPOSITORY:
                tags.setdefault(tag[1], {})[tag[2]] = names[name]
            elif (release := _RELEASE.fullmatch(name)) is None:
                raise BadLock(f"names: {name[:300]!r} is neither <repository>:<tag> nor <package>@<release>/<format>")
            elif names[name].algorithm != "sha256":
                raise BadLock(f"names.{name}: a package has a sha256 digest, of its uncompressed tar")
            else:
                releases.setdefault(release[1], {})[Release(release[2], release[3])] = names[name]
        return cls(dict(names), tags, releases)


def parse(text: str) -> Lock:
    """Raises BadLock."""
    if len(text) > MAX_TEXT:
        raise BadLock(f"larger than {MAX_TEXT} bytes")
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except BadLock:
        raise
    except (ValueError, RecursionError):
        raise BadLock("not JSON") from None
    if not isinstance(document, dict):
        raise BadLock('not an object with "version" and "names"')
    if isinstance(document.get("version"), bool) or document.get("version") != VERSION:
        raise BadLock(f"version: must be {VERSION}; a higher one is for a newer apprproxy")
    if unknown := sorted(document.keys() - {"version", "names"}):
        raise BadLock(f"{unknown[0][:80]!r}: there is no such key")
    names = document.get("names")
    if not isinstance(names, dict):
        raise BadLock("names: must be an object of names and digests")
    return Lock.of({name: _digest(name, value) for name, value in names.items()})


def written(names: Mapping[str, Digest]) -> str:
    """A line a name, sorted, so that a change is a line of a diff."""
    document = {"version": VERSION, "names": {name: str(names[name]) for name in sorted(names)}}
    return json.dumps(document, indent=2) + "\n"


def not_locked(upstream: str, name: str) -> Denied:
    return Denied(
        f"{name} is not in the lock file of {upstream} (upstreams.{upstream}.names is locked); to add it, from an"
        f" upstream that is trusted: apprproxy names lock {quote(f'TRUSTED/{name}')}"
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of a name that stands there twice, a reader and the gateway might believe different lines."""
    seen = dict(pairs)
    if len(seen) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise BadLock(f"{twice[:300]!r} is given twice")
    return seen


def _digest(name: str, value: object) -> Digest:
    try:
        return Digest.parse(value if isinstance(value, str) else "")
    except MalformedDigest:
        raise BadLock(f"names.{name[:300]}: not a sha256 or sha512 digest") from None
