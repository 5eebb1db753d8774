"""The manifests that the reading checks of the specification's conformance suite are made of, on either algorithm."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.content import IMAGE, INDEX, digest
from tests.fakes.registry import descriptor

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
NOTHING = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Shape:
    """``children`` are the manifests that must be there for it to be whole."""

    content: bytes
    kind: str
    children: tuple[bytes, ...] = field(default=())


def shapes(algorithm: str) -> Mapping[str, Shape]:
    """All of them by what they are."""
    make = _Maker(algorithm)
    amd, arm = make.image(note="amd64"), make.image(note="arm64")
    artifact = make.artifact("one")
    subject = make.described(amd)
    nested = make.index(amd, arm)
    return {
        "an image": Shape(make.image(), IMAGE),
        "an image with uncompressed layers": Shape(make.image(layers=[make.blob(b"tar", LAYER)]), IMAGE),
        "an image without layers": Shape(make.image(layers=[]), IMAGE),
        "an image with non-distributable layers": Shape(
            make.image(layers=[{**make.blob(b"far", FOREIGN), "urls": ["https://elsewhere.test/far"]}]), IMAGE
        ),
        "an image with unknown fields": Shape(_pretty(make.image(zeta={"b": [1.50, None], "a": "é"}, alpha=1)), IMAGE),
        "an image with data fields": Shape(make.image(layers=[make.blob(b"small", LAYER, data=True)]), IMAGE),
        "an image of 3.9 MB": Shape(make.image(note="x" * 3_900_000), IMAGE),
        "an image with a subject": Shape(make.image(subject=subject), IMAGE, (amd,)),
        "an image whose subject is missing": Shape(make.image(subject=make.described(make.image(note="gone"))), IMAGE),
        "an artifact": Shape(make.artifact("two"), IMAGE),
        "an artifact without layers": Shape(make.artifact(), IMAGE),
        "an index": Shape(nested, INDEX, (amd, arm)),
        "an empty index": Shape(make.index(), INDEX),
        "a nested index": Shape(make.index(nested, arm), INDEX, (nested, amd, arm)),
        "an index of artifacts": Shape(make.index(artifact, artifactType="application/x.list"), INDEX, (artifact,)),
        "an index with a subject": Shape(make.index(arm, subject=subject), INDEX, (amd, arm)),
        "a sparse index": Shape(make.index(make.image(note="absent"), arm), INDEX, (arm,)),
    }


class _Maker:
    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm

    def blob(self, content: bytes, kind: str, *, data: bool = False) -> dict[str, Any]:
        described = {"mediaType": kind, "digest": digest(content, self._algorithm), "size": len(content)}
        return {**described, "data": base64.b64encode(content).decode()} if data else described

    def described(self, manifest: bytes) -> dict[str, Any]:
        return descriptor(manifest, digest(manifest, self._algorithm))

    def image(self, *, layers: list[dict[str, Any]] | None = None, note: str = "", **more: Any) -> bytes:
        zipped = [self.blob(b"gzip", LAYER + "+gzip")]
        return _written(
            IMAGE,
            config=self.blob(b'{"os": "linux"}', CONFIG),
            layers=zipped if layers is None else layers,
            annotations={"note": note},
            **more,
        )

    def artifact(self, *layers: str) -> bytes:
        empty = self.blob(b"{}", NOTHING, data=True)
        described = [self.blob(layer.encode(), "text/plain") for layer in layers] or [empty]
        return _written(IMAGE, artifactType="application/x.artifact", config=empty, layers=described)

    def index(self, *children: bytes, **more: Any) -> bytes:
        return _written(INDEX, manifests=[self.described(child) for child in children], **more)


def _written(kind: str, **fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": kind, **fields}).encode()


def _pretty(manifest: bytes) -> bytes:
    """Laid out as no program here would write it."""
    return b"\n" + json.dumps(json.loads(manifest), indent=3, ensure_ascii=False).encode() + b"\r\n\t"
