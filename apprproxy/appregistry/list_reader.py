"""Lists of packages and channels as the search reads them, and how a package is pulled. Pure."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from apprproxy.appregistry.resolve import highest
from apprproxy.core.documents import NotADocument, elements
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, Command, Facts, Listed

_PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}/[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_RELEASE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_~-]{0,127}")
_FORMAT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHANNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class PackageListReader:
    """Implements ListReader."""

    protocol = "appr"
    listing = Kind.PACKAGES
    details = (Kind.CHANNELS,)

    def listed(self, document: bytes) -> Iterator[Listed]:
        for package in _objects(document):
            name = package.get("name")
            if isinstance(name, str) and _PACKAGE.fullmatch(name):
                releases = set(_matching(_RELEASE, package.get("releases")))
                formats = tuple(_matching(_FORMAT, package.get("manifests")))[:16]
                yield Listed(name, highest(releases), len(releases) or None, formats)

    def facts(self, kind: Kind, document: bytes) -> Facts:
        named = [channel.get("name") for channel in _objects(document)]
        return Facts(channels=tuple(sorted(set(_matching(_CHANNEL, named))))[:100])

    def commands(self, base: Base, upstream: str, thing: Listed) -> Sequence[Command]:
        """``appr`` takes the format that is named; without one it takes the only one there is."""
        media_type = f"-t {thing.formats[0]} " if thing.formats else ""
        release = f"@{thing.latest}" if thing.latest else ""
        scheme = "https" if base.tls else "http"
        return (Command("appr", f"appr pull {media_type}{scheme}://{base.host}/{upstream}/{thing.name}{release}"),)


def _objects(document: bytes) -> Iterator[dict[str, Any]]:
    with suppress(NotADocument):
        yield from (one for one, _ in elements(document) if isinstance(one, dict))


def _matching(pattern: re.Pattern[str], found: object) -> list[str]:
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, str) and pattern.fullmatch(one)]
