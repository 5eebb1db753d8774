"""Host names resolved in threads of their own.

The loop's shared threads also read the cache: an upstream whose names resolve slowly would hold up what is held.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

_THREADS = ThreadPoolExecutor(16, thread_name_prefix="resolver")


class OwnThreadsResolver(AbstractResolver):
    """``patience`` in seconds; raises OSError, which aiohttp takes for a name that cannot be resolved."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        call = _THREADS.submit(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        try:
            async with asyncio.timeout(self._patience):
                found = await asyncio.wrap_future(call)
        except TimeoutError:
            raise OSError(None, f"{host} was not resolved in {self._patience:g} s") from None
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """The threads are shared by all upstreams, and go with the process."""
