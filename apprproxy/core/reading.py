"""An answer's body read whole, up to a limit; and documents taken apart without holding up everybody else."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from apprproxy.core.errors import Outage
from apprproxy.core.model import KIB
from apprproxy.core.ports.upstream import Incoming, Reply

LARGE = 64 * KIB
"""Bytes that take about a millisecond to parse. Documents are up to 8 MiB."""

A = TypeVar("A")
T = TypeVar("T")


async def whole(name: str, incoming: Incoming, limit: int) -> Reply:
    """``name`` is whose answer it is; raises Outage, also where it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in incoming.chunks():
        body += chunk
        if len(body) > limit:
            raise Outage(name, f"sent more than the {limit} bytes that are taken", incoming.status)
    return Reply(incoming.status, incoming.headers, bytes(body))


async def read_by(read: Callable[[A], T], document: A, *, size: int) -> T:
    """What ``read`` makes of it: in a thread where it is large."""
    return read(document) if size < LARGE else await asyncio.to_thread(read, document)
