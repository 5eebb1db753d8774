"""Host names resolved in threads of each upstream's own.

A name server that keeps silent holds a thread for longer than anybody waits. The loop's shared threads also read the
cache, and those of others resolve their names.
"""

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

AT_ONCE = 4
"""Names of an upstream that are looked up at the same time. Connections to one host share a look-up."""


class OwnThreadsResolver(AbstractResolver):
    """``patience`` in seconds, for a thread as well; raises OSError, which aiohttp takes for a name that cannot be
    resolved. ``close`` when done."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        call = self._threads.submit(_found, host, port, family)
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
        """Nobody waits for what hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _found(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    """Blocking. Where no file can be opened the library may say that there is no such name: what is missing is told."""
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    except socket.gaierror:
        os.close(os.open("/", os.O_RDONLY))
        raise
