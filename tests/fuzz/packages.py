"""Packages: what is taken for one is what Python's own reader, and so the genuine servers, unpack of it."""

import gzip

from apprproxy.core.digest import Digest
from apprproxy.store.blobs.unpacked import NotGzip, unpacked_digest


def unpacked(data: bytes) -> None:
    try:
        digest = unpacked_digest(lambda offset, count: data[offset : offset + count])
    except NotGzip:
        return
    assert Digest.of(gzip.decompress(data)) == digest
    assert unpacked_digest(lambda offset, count: data[offset : offset + min(count, 7)]) == digest
