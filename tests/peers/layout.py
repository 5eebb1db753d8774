"""A multi-architecture image as an OCI image layout, the same bytes every time."""

import gzip
import hashlib
import io
import json
import random
import re
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_layout(folder: Path, size: int = 200_000) -> Path:
    """Two platforms that share one layer of about this size; `folder` becomes the layout."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    shared = _tar("shared", size)
    images = [_image(folder, architecture, shared) for architecture in ("amd64", "arm64")]
    _json(folder / "index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": images})
    _json(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    return folder


def digests(folder: Path) -> dict[str, str]:
    """The digest of what is in each file that is named by one: they are the same, or it is wrong."""
    named = sorted(path for path in folder.glob("*") if re.fullmatch("[0-9a-f]{64}", path.name))
    found: dict[str, str] = {}
    for path in named:
        with suppress(FileNotFoundError):  # containerd throws away meanwhile what no image needs
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _image(folder: Path, architecture: str, shared: bytes) -> dict[str, Any]:
    tars = [shared, _tar(architecture, 50_000)]
    config = {
        "os": "linux",
        "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": [_digest(tar) for tar in tars]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(folder, CONFIG, json.dumps(config).encode()),
        "layers": [_blob(folder, LAYER, gzip.compress(tar, mtime=0)) for tar in tars],
    }
    platform = {"os": "linux", "architecture": architecture}
    return _blob(folder, MANIFEST, json.dumps(manifest).encode()) | {"platform": platform}


def _tar(name: str, size: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(f"opt/{name}")
        member.size = size
        tar.addfile(member, io.BytesIO(random.Random(name).randbytes(size)))
    return packed.getvalue()


def _blob(folder: Path, kind: str, content: bytes) -> dict[str, Any]:
    digest = _digest(content)
    (folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value))
