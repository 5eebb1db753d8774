"""Documents, short ones and those that take time to take apart."""

from apprproxy.core.documents import values
from apprproxy.core.model import KIB
from apprproxy.core.ports.store import Held

LARGE = 64 * KIB
"""Bytes that take about a millisecond to parse. Documents are up to 8 MiB."""
FEW_VALUES = 1000
"""That are taken apart at once: some milliseconds, in which nobody else has a turn."""


def is_short(document: bytes) -> bool:
    """Is it taken apart in no time? However little it is, it may have ten thousand values."""
    return len(document) < LARGE and values(document) <= FEW_VALUES


async def if_short(document: Held) -> bytes | None:
    """The whole of one that is taken apart in no time, None of any other; raises StoreFailed."""
    if document.size >= LARGE:
        return None
    body = await document.read()
    return body if is_short(body) else None


def content(document: Held) -> bytes:
    """The whole. Blocking, as what takes it apart is; raises StoreFailed."""
    return document.pread(0, document.size)
