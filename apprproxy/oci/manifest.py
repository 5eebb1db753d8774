"""What kind of manifest verified bytes are, told from them: no digest covers a Content-Type. Pure."""

import re
from collections.abc import Iterator

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.documents import NotADocument, parsed
from apprproxy.core.model import Expected

INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"

ACCEPT = ", ".join((INDEX, IMAGE, DOCKER_LIST, DOCKER_IMAGE, "application/vnd.oci.artifact.manifest.v1+json", "*/*"))
"""Always all of them, so that an answer does not depend on who asked first."""

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


def stated_type(field: str) -> str:
    """A Content-Type if it is a plain media type, else empty: foreign text that is going to be remembered."""
    return field if _MEDIA_TYPE.fullmatch(field) else ""


def is_manifest(content: bytes) -> bool:
    """Could this be a manifest at all? For answers that no digest vouches for: a login page with 200 is none."""
    try:
        manifest = parsed(content)
    except NotADocument:
        return False
    return isinstance(manifest, dict) and ("schemaVersion" in manifest or "mediaType" in manifest)


def media_type(content: bytes) -> str:
    """The ``mediaType`` it states, else what its fields imply (image specification, manifest.md and image-index.md)."""
    try:
        manifest = parsed(content)
    except NotADocument:
        return "application/octet-stream"
    if not isinstance(manifest, dict):
        return "application/octet-stream"
    stated = manifest.get("mediaType")
    if isinstance(stated, str) and _MEDIA_TYPE.fullmatch(stated):
        return stated
    if manifest.get("schemaVersion") == 1:
        return "application/vnd.docker.distribution.manifest.v1+prettyjws"
    return INDEX if "manifests" in manifest else IMAGE


_MAX_CHILDREN = 10_000
"""An image has some dozens of layers, an index some dozens of manifests."""


def children(content: bytes) -> tuple[Expected, ...]:
    """What a manifest or an index has of its own: config, layers, manifests. Its subject is another's."""
    try:
        manifest = parsed(content)
    except NotADocument:
        return ()
    if not isinstance(manifest, dict):
        return ()
    listed = [manifest.get("config")]
    for field in ("layers", "manifests", "blobs", "fsLayers"):
        listed += found[:_MAX_CHILDREN] if isinstance(found := manifest.get(field), list) else []
    return tuple(dict.fromkeys(_described(listed)))


def _described(listed: list[object]) -> Iterator[Expected]:
    """What is no descriptor is passed over: such bytes are not made out to be more than they are."""
    for one in listed:
        if not isinstance(one, dict):
            continue
        size, said = one.get("size"), one.get("digest") or one.get("blobSum")
        try:
            digest = Digest.parse(said if isinstance(said, str) else "")
        except MalformedDigest:
            continue
        yield Expected(digest, size=size if type(size) is int and 0 <= size < 2**62 else None)
