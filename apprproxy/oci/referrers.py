"""Referrers (OCI distribution specification, "Listing Referrers" and "Referrers Tag Schema"). Pure."""

from collections.abc import Sequence

import orjson

from apprproxy.core import documents
from apprproxy.core.digest import Digest
from apprproxy.core.documents import NotADocument, spelt
from apprproxy.oci.manifest import INDEX

EMPTY = orjson.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
"""What a registry answers for a subject that nobody refers to."""


MOST = 100_000
"""Descriptors of one answer. In 8 MiB there is room for fewer that are real, and for millions that are empty, which
would take a hundred times as much memory."""


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
    every: list[bytes] = []
    for page in pages:
        every += [raw for _, raw in _descriptors(page)]
        _few_enough(len(every))
    return pages[0] if len(pages) == 1 else _with(pages[0], every)


def _with(document: bytes, descriptors: Sequence[bytes]) -> bytes:
    fields = {name: raw for name, (_, raw) in documents.fields(document).items()}
    return documents.composed({**fields, "manifests": documents.listed(descriptors)})


def _descriptors(document: bytes) -> list[tuple[dict[str, object], bytes]]:
    """Each as it came; raises NotAnIndex."""
    try:
        value, raw = spelt(documents.fields(document), "manifests").get("manifests", (None, b""))
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise NotAnIndex("the answer is not an image index")
        _few_enough(len(value))
        for one in value:
            spelt(one, "digest", "artifactType")
        return list(documents.elements(raw))
    except NotADocument as error:
        raise NotAnIndex(f"the answer is {error}") from None


def _few_enough(descriptors: int) -> None:
    if descriptors > MOST:
        raise NotAnIndex(f"the answer has more than {MOST} descriptors")
