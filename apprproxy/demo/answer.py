"""What the gateway answered, and whether its bytes are what their digests say. Pure."""

import gzip
import zlib
from dataclasses import dataclass
from enum import StrEnum

import orjson

from apprproxy.core.digest import Digest


class Source(StrEnum):
    """Where an answer came from, by its Cache-Status (RFC 9211)."""

    FETCHED = "fetched"
    CACHE = "cache"
    CONFIRMED = "confirmed"
    """Held, and the upstream was asked whether the name still means it."""
    STALE = "stale"
    """Held, and older than it may be without asking; but nobody could be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``verified`` is None where no digest is due: a document that only names things. ``reason`` explains a failure."""

    part: str
    status: int
    source: Source | None = None
    verified: bool | None = None
    reason: str = ""
    body: bytes = b""
    digest: str = ""

    @property
    def good(self) -> bool:
        return self.status == 200 and self.verified is not False


def source_of(cache_status: str) -> Source | None:
    """None where the field is not the gateway's."""
    name, *rest = (part.strip() for part in cache_status.rpartition(",")[2].split(";"))
    parameters = {part.partition("=")[0]: part.partition("=")[2] for part in rest}
    if name != "apprproxy":
        return None
    if "hit" in parameters:
        return Source.STALE if int(parameters.get("ttl", "1")) <= 0 else Source.CACHE
    if parameters.get("fwd") != "stale":
        return Source.FETCHED
    return Source.CONFIRMED if parameters.get("fwd-status") in ("200", "304") else Source.STALE


def is_content(body: bytes, stated: str, asked: str | None) -> bool:
    """OCI: are these bytes what Docker-Content-Digest states, and is that what was asked for?"""
    return str(Digest.of(body)) == stated and asked in (None, stated)


def is_package(body: bytes, etag: str, tar: str) -> bool:
    """App Registry: does the tar inside have this digest, and are the bytes what ETag states?"""
    try:
        unpacked = gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return False
    return Digest.of(unpacked).hex == tar and etag == f'"{Digest.of(body)}"'


def reason_of(body: bytes) -> str:
    """The message of an error in either protocol."""
    try:
        document = orjson.loads(body)
        return str(document["errors"][0]["message"] if "errors" in document else document["message"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return "gave no reason"
