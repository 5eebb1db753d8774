"""An answer's body read whole, up to a limit."""

from apprproxy.core.errors import Outage
from apprproxy.core.ports import Incoming, Reply


async def whole(name: str, incoming: Incoming, limit: int) -> Reply:
    """``name`` is whose answer it is; raises Outage, also where it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in incoming.chunks():
        body += chunk
        if len(body) > limit:
            raise Outage(name, f"sent more than the {limit} bytes that are taken", incoming.status)
    return Reply(incoming.status, incoming.headers, bytes(body))
