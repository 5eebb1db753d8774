"""Which release a text means, as the genuine servers resolve it. Pure.

- ``default`` is the highest version, prereleases included.
- Otherwise the text is a range; prereleases count only where it contains a hyphen. The highest match wins.
- Of builds of one version, of which none is higher, the first in the order of their texts is meant, as in a list.

The genuine servers use the same library's older range class; the two agree but for ranges on which the old one crashes
(``^0``, ``~1``), for wildcards (``1.*``) and for ``^`` or ``~`` before a prerelease.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from semantic_version import SimpleSpec, Version

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+].*)?")
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
"""As the library has it (semver.org). To tell a version by this takes a tenth of the time."""
_OPERATORS = frozenset("<>=!~^*,")


class NotARange(ValueError):
    """The text is neither ``default`` nor a range of versions; the genuine servers answer 422."""


def resolve(text: str, releases: Iterable[str]) -> str | None:
    """The release that is meant, None where none matches; raises NotARange. What is no SemVer is never meant."""
    versions = {version: release for release in sorted(releases) if (version := _version(release)) is not None}
    if text == "default":
        chosen = max(versions, default=None)
    else:
        try:
            spec = SimpleSpec(text)
        except ValueError:
            raise NotARange(f"not a release or a range of releases: {text!r}") from None
        chosen = spec.select(version for version in versions if "-" in text or not version.prerelease)
    return versions[chosen] if chosen is not None else None


def may_mean(asked: str, release: str) -> bool:
    """May what is asked for be answered with this release? ``default`` and ranges are resolved by their server; a
    version, or a name that is neither, is answered with itself."""
    if asked in (release, "default"):
        return True
    return not _VERSION.fullmatch(asked) and _is_range(asked)


@lru_cache(256)
def _is_range(text: str) -> bool:
    """Asked for each release of a list, of one text."""
    try:
        SimpleSpec(text)
    except ValueError:
        return bool(_OPERATORS.intersection(text))  # the genuine servers' older class knows others
    return True


def _version(text: str) -> Version | None:
    """The library takes the digits of every script for digits."""
    try:
        return Version(text) if text.isascii() else None
    except ValueError:
        return None


def highest_first(releases: Iterable[str]) -> list[str]:
    """As a list has them; what is no SemVer comes last."""
    ordered = sorted(releases)
    versions = {release: version for release in ordered if (version := _version(release)) is not None}
    return sorted(versions, key=versions.__getitem__, reverse=True) + [one for one in ordered if one not in versions]


def highest(releases: Collection[str]) -> str:
    """The first of those, empty for none, without ordering all of them: a list may have hundreds of thousands, and
    nobody else has a turn in a call that goes through them by itself."""
    top = max((core for one in releases if (core := _core(one)) is not None), default=None)
    if top is None:
        return min((one for one in releases), default="")
    best, _, _ = max((one for one in releases if _core(one) == top), key=Version).partition("+")
    return min(one for one in releases if one.partition("+")[0] == best and _core(one) == top)


def _core(release: str) -> tuple[int, int, int] | None:
    """Of a version what counts first."""
    match = _SEMVER.fullmatch(release)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
