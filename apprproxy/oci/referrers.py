"""Referrers (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema"). Pure."""

from collections.abc import Sequence

import orjson

from apprproxy.core import documents
from apprproxy.core.digest import Digest
from apprproxy.core.documents import NotADocument
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
    return _with(document, [raw for one, raw in _descriptors(document) if one.get("artifactType") == artifact_type])


def count(document: bytes) -> int:
    return len(_descriptors(document))


def joined(pages: Sequence[bytes]) -> bytes:
    """One index of all pages; a single page as it is. Raises NotAnIndex for what is no index with descriptors."""
    every = [raw for page in pages for _, raw in _descriptors(page)]
    return pages[0] if len(pages) == 1 else _with(pages[0], every)


def _with(document: bytes, descriptors: Sequence[bytes]) -> bytes:
    fields = {name: raw for name, (_, raw) in documents.fields(document).items()}
    return documents.composed({**fields, "manifests": documents.listed(descriptors)})


def _descriptors(document: bytes) -> list[tuple[dict[str, object], bytes]]:
    """Each as it came; raises NotAnIndex."""
    try:
        value, raw = documents.fields(document).get("manifests", (None, b""))
        found = list(documents.elements(raw)) if isinstance(value, list) else None
    except NotADocument as error:
        raise NotAnIndex(f"the answer is {error}") from None
    if found is None or not all(isinstance(one, dict) for one, _ in found):
        raise NotAnIndex("the answer is not an image index")
    return found
