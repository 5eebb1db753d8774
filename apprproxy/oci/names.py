"""The grammar of repositories and references (OCI distribution specification, "Pulling manifests"). Pure."""

import re

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Malformed
from apprproxy.core.grammar import MAX_REPOSITORY, REPOSITORY, TAG

_REPOSITORY = re.compile(REPOSITORY)
_TAG = re.compile(TAG)


def repository(text: str) -> str:
    """Raises Malformed."""
    if len(text) > MAX_REPOSITORY or not _REPOSITORY.fullmatch(text):
        raise Malformed(f"not a repository name: {text[:80]!r}", "NAME_INVALID")
    return text


def tag(text: str) -> str:
    """Raises Malformed."""
    if not _TAG.fullmatch(text):
        raise Malformed(f"not a tag: {text[:80]!r}", "TAG_INVALID")
    return text


def digest(text: str) -> Digest:
    """Raises Malformed."""
    try:
        return Digest.parse(text)
    except MalformedDigest as error:
        raise Malformed(str(error), "DIGEST_INVALID") from None


def is_tag(text: str) -> bool:
    return bool(_TAG.fullmatch(text))
