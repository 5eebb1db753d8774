"""Things that a registry has: bytes with their digests, and a manifest that names them."""

import json

from apprproxy.core.digest import Digest

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(content: bytes, algorithm: str = "sha256") -> str:
    return str(Digest.of(content, algorithm))


def some_bytes(size: int, seed: str = "") -> bytes:
    """As many bytes as asked for, different for each seed, of which no part repeats soon."""
    block = b"".join(f"{seed}{number:08d};".encode() for number in range(8192))
    return (block * (size // len(block) + 1))[:size]


def manifest(*layers: bytes, note: str = "") -> bytes:
    """An image manifest of these layers; ``note`` makes it another one."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [
                {"mediaType": "application/octet-stream", "digest": digest(layer), "size": len(layer)}
                for layer in layers
            ],
            "annotations": {"note": note},
        }
    ).encode()


def oci_error(code: str, message: str = "said so") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
