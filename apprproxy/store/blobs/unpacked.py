"""The digest of what a gzip file holds, which is how App Registry names packages.

- It is taken only if the readers of all genuine clients, Python's GzipFile and Go's compress/gzip, read the same in it:
  what one upstream sends first, all others' clients are given. All members are one stream (RFC 1952, section 2.2), and
  nothing is behind the last one, nor between them: for Go zeros are an error.
- It is not much larger than what is in it.
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

MAX_WRAPPING = 64 * KIB
"""Bytes of a package beyond those in it and a quarter more. What does not pack grows by an eighth at the worst, and a
header has some dozens; empty blocks may have any number."""

AHEAD = MIB
"""Bytes of wrapping that what is in it may still make up for. A file of empty blocks keeps a thread busy for as long as
ten that are as large as they may be."""

MAX_TEXT = 511
"""Bytes of a name or comment in a header, which Go's reader takes (``readString``)."""

MAX_MEMBERS = 10_000
"""Each costs a copy of what follows it in the piece: a file of empty members would keep a thread busy for minutes."""

_PIECE = 256 * KIB
_HEADER = 68 * KIB
"""More than a header can have without text that is too long."""
_EXTRA, _NAME, _COMMENT = 4, 8, 16


class NotGzip(ValueError):
    """The bytes are no gzip file that all read alike, or one that unpacks to more than is taken."""


class NotTaken(NotGzip):
    """They may be one, beyond the bounds of this module: whoever has the package may have it so."""


class Unfinished(NotGzip):
    """They may be the beginning of one."""


def unpacked_digest(read: Callable[[int, int], bytes], algorithm: str = "sha256") -> Digest:
    """``read(offset, count)`` gives the packed bytes. Blocking; raises NotGzip."""
    check = Check(algorithm)
    offset, pending = 0, b""
    for number in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while len(pending) < _HEADER and (piece := read(offset, _PIECE)):
            pending, offset = pending + piece, offset + len(piece)
        _check_header(pending)
        while not member.eof:
            if not pending:
                pending = read(offset, _PIECE)
                offset += len(pending)
            try:
                piece = member.decompress(pending, _PIECE)
            except zlib.error as error:
                fault = NotTaken if number else NotGzip  # behind a whole one Python's reader takes zeros
                raise fault(f"not a gzip file: {error}") from None
            if not (piece or pending or member.eof):  # output may still come when all input has gone in
                raise Unfinished("the gzip stream is cut off")
            check.update(piece)
            pending = member.unconsumed_tail or member.unused_data
            _bound(check.size, offset)
            _bound_wrapping(offset - len(pending), check.size, AHEAD)
        if not (pending or read(offset, 1)):
            _bound_wrapping(offset, check.size, MAX_WRAPPING)
            return check.digest()
    raise NotTaken(f"has more than {MAX_MEMBERS} members")


def _bound(size: int, packed: int) -> None:
    """``packed`` is what has been read so far."""
    if size > MAX_UNPACKED:
        raise NotTaken(f"unpacks to more than {MAX_UNPACKED} bytes")
    if size > ALWAYS + MAX_RATIO * packed:
        raise NotTaken(f"unpacks to more than {MAX_RATIO} times its size")


def _bound_wrapping(packed: int, size: int, most: int) -> None:
    if packed > size + size // 4 + most:
        raise NotTaken(f"has {packed} bytes for the {size} that are in it")


def _check_header(packed: bytes) -> None:
    """Of what is no gzip file, or ends within its header, others tell."""
    flags, at = packed[3:4] or b"\0", 10
    if flags[0] & _EXTRA:
        at += 2 + int.from_bytes(packed[at : at + 2], "little")
    for text in (_NAME, _COMMENT):
        if flags[0] & text:
            length = packed[at : at + MAX_TEXT + 1].find(b"\0")
            if length < 0 and len(packed) > at + MAX_TEXT:
                raise NotTaken(f"has a name or comment of more than {MAX_TEXT} bytes in its header")
            at += length + 1
