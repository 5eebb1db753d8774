"""A registry in a process of its own that sends one blob of zeros from memory, and counts: ``python -m
tests.bench.upstream PORT SIZE``. ``/counts`` says how many GETs of the blob there were, and bytes in all."""

import asyncio
import hashlib
import json
import sys
from contextlib import suppress

from aiohttp import web

PIECE = bytes(1 << 20)


def digest_of(size: int) -> str:
    """Of that many zeros."""
    check = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        check.update(PIECE)
    return f"sha256:{check.hexdigest()}"


class Counting:
    """Whatever blob is asked for is sent."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._gets = 0
        self._bytes = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/counts":
            return web.Response(text=json.dumps([self._gets, self._bytes]))
        if "/blobs/" not in request.path:
            return web.Response(text="{}")
        digest = request.path.rpartition("/")[2]
        response = web.StreamResponse(headers={"Docker-Content-Digest": digest})
        response.content_type = "application/octet-stream"
        response.content_length = self._size
        await response.prepare(request)
        if request.method == "GET":
            self._gets += 1
            with suppress(ConnectionError):
                for _ in range(self._size // len(PIECE)):
                    await response.write(PIECE)
                    self._bytes += len(PIECE)
        return response


async def main(port: int, size: int) -> None:
    runner = web.ServerRunner(web.Server(Counting(size), access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
