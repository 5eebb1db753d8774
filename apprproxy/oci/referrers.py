"""Referrers (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema"). Pure."""

from collections.abc import Sequence

import orjson

from apprproxy.core.digest import Digest
from apprproxy.oci.manifest import INDEX

EMPTY = orjson.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
"""What a registry answers for a subject that nobody refers to."""


class NotAnIndex(ValueError):
    pass


def fallback_tag(subject: Digest) -> str:
    """The tag under which clients keep the index where the registry has no referrers end point.

    It takes the first 64 digits, which for sha512 are half ("Referrers Tag Schema").
    """
    return f"{subject.algorithm}-{subject.hex[:64]}"


def filtered(document: bytes, artifact_type: str) -> bytes:
    """The index with just the descriptors of that type; everything else is kept as it is."""
    index = orjson.loads(document)
    index["manifests"] = [one for one in _manifests(document) if one.get("artifactType") == artifact_type]
    return orjson.dumps(index)


def count(document: bytes) -> int:
    return len(_manifests(document))


def joined(pages: Sequence[bytes]) -> bytes:
    """One index of all pages; a single page as it is. Raises NotAnIndex for what is no index with descriptors."""
    manifests = [one for page in pages for one in _manifests(page)]
    return pages[0] if len(pages) == 1 else orjson.dumps({**orjson.loads(pages[0]), "manifests": manifests})


def _manifests(document: bytes) -> list[dict[str, object]]:
    try:
        index = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise NotAnIndex("the answer is not JSON") from None
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(manifests, list) or not all(isinstance(one, dict) for one in manifests):
        raise NotAnIndex("the answer is not an image index")
    return manifests
