"""Catalogues and tag lists as the search reads them, and how a repository is pulled. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence

from semantic_version import Version

from apprproxy.core.documents import NotADocument, parsed
from apprproxy.core.errors import Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, Command, Facts, Listed
from apprproxy.oci import names

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?([-+][0-9A-Za-z.+-]+)?")


class OciListReader:
    """Implements ListReader."""

    protocol = "oci"
    listing = Kind.CATALOG
    details = (Kind.TAGS,)

    def listed(self, document: bytes) -> Iterator[Listed]:
        return (Listed(name) for name in _strings(document, "repositories") if _is_repository(name))

    def facts(self, kind: Kind, document: bytes) -> Facts:
        tags = {tag for tag in _strings(document, "tags") if names.is_tag(tag)}
        return Facts(latest(tags), len(tags))

    def commands(self, base: Base, upstream: str, thing: Listed) -> Sequence[Command]:
        """An image and a chart cannot be told apart by their names: a tag that is a version may be a chart's."""
        where = f"{base.host}/{upstream}/{thing.name}"
        tag, file = (f":{thing.latest}" if thing.latest else ""), thing.name.rpartition("/")[2]
        crane = Command("crane", f"crane pull {'' if base.tls else '--insecure '}{where}{tag} {file}.tar")
        if not (thing.latest and _is_semver(thing.latest)):
            return (crane,)
        plain = "" if base.tls else " --plain-http"
        return (crane, Command("helm", f"helm pull oci://{where} --version {thing.latest}{plain}"))


def latest(tags: Iterable[str]) -> str:
    """The highest version, prereleases last; else ``latest``; else the last by the alphabet."""
    known = sorted(tags)
    versions = [tag for tag in known if _VERSION.fullmatch(tag)]
    if versions:
        return max(versions, key=_precedence)
    return "latest" if "latest" in known else known[-1] if known else ""


def _precedence(tag: str) -> tuple[bool, int, int, int, str]:
    match = _VERSION.fullmatch(tag)
    assert match is not None
    major, minor, patch, rest = match.groups()
    return rest is None or not rest.startswith("-"), int(major), int(minor), int(patch or 0), rest or ""


def _is_semver(tag: str) -> bool:
    try:
        Version(tag.removeprefix("v"))
    except ValueError:
        return False
    return True


def _is_repository(text: str) -> bool:
    try:
        names.repository(text)
    except Malformed:
        return False
    return True


def _strings(document: bytes, field: str) -> list[str]:
    try:
        answer = parsed(document)
    except NotADocument:
        return []
    found = answer.get(field) if isinstance(answer, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
