"""The digest of what a gzip file holds, which is how App Registry names packages.

- All members are one stream (RFC 1952, section 2.2), as Python's GzipFile and so the genuine servers read them; zero
  padding after the last member is ignored, anything else there is an error.
- Output is bounded while it is produced, in all and by what has been read for it: a bomb costs at most one piece more
  than the bound.
"""

import zlib
from collections.abc import Callable

from apprproxy.core.digest import Check, Digest
from apprproxy.core.model import KIB, MIB

MAX_UNPACKED = 512 * MIB

MAX_RATIO = 100
"""Charts and manifests pack to a tenth, or to a thirtieth where they repeat themselves; zeros to a thousandth."""
ALWAYS = 16 * MIB
"""Unpacked whatever it is, padding and all: that takes some hundredths of a second."""

MAX_MEMBERS = 10_000
"""Each costs a copy of what follows it in the piece: a file of empty members would keep a thread busy for minutes."""

_PIECE = 256 * KIB


class NotGzip(ValueError):
    """The bytes are no gzip file, or one that unpacks to more than is taken."""


def unpacked_digest(read: Callable[[int, int], bytes], algorithm: str = "sha256") -> Digest:
    """``read(offset, count)`` gives the packed bytes. Blocking; raises NotGzip."""
    check = Check(algorithm)
    offset, pending = 0, b""
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not pending:
                pending = read(offset, _PIECE)
                offset += len(pending)
            try:
                piece = member.decompress(pending, _PIECE)
            except zlib.error as error:
                raise NotGzip(f"not a gzip file: {error}") from None
            if not (piece or pending or member.eof):  # output may still come when all input has gone in
                raise NotGzip("the gzip stream is cut off")
            check.update(piece)
            pending = member.unconsumed_tail or member.unused_data
            _bound(check.size, offset)
        pending, offset = _after_padding(read, pending, offset)
        if not pending:
            return check.digest()
    raise NotGzip(f"has more than {MAX_MEMBERS} members")


def _bound(size: int, packed: int) -> None:
    """``packed`` is what has been read so far."""
    if size > MAX_UNPACKED:
        raise NotGzip(f"unpacks to more than {MAX_UNPACKED} bytes")
    if size > ALWAYS + MAX_RATIO * packed:
        raise NotGzip(f"unpacks to more than {MAX_RATIO} times its size")


def _after_padding(read: Callable[[int, int], bytes], pending: bytes, offset: int) -> tuple[bytes, int]:
    """What follows a member: the next one, or nothing."""
    while True:
        rest = pending.lstrip(b"\0")
        if rest:
            return rest, offset
        pending = read(offset, _PIECE)
        offset += len(pending)
        if not pending:
            return b"", offset
