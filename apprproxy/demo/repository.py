"""What an OCI repository holds: blobs and manifests by digest, tags that point at manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from apprproxy.core.digest import Digest

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

Descriptor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def blob(self, media_type: str, content: bytes) -> Descriptor:
        descriptor = _descriptor(media_type, content)
        self.blobs[descriptor["digest"]] = content
        return descriptor

    def manifest(
        self, config: Descriptor, layers: Sequence[Descriptor], tag: str | None = None, **more: Any
    ) -> Descriptor:
        return self._document({"mediaType": MANIFEST, "config": config, "layers": layers, **more}, tag)

    def index(self, manifests: Sequence[Descriptor], tag: str) -> Descriptor:
        return self._document({"mediaType": INDEX, "manifests": manifests}, tag)

    def _document(self, document: Mapping[str, Any], tag: str | None) -> Descriptor:
        content = orjson.dumps({"schemaVersion": 2, **document})
        descriptor = _descriptor(document["mediaType"], content)
        self.manifests[descriptor["digest"]] = content
        if tag is not None:
            self.tags[tag] = descriptor["digest"]
        return descriptor


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}
