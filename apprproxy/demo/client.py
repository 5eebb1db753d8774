"""A plain HTTP client of the gateway, which checks every digest for itself."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp

from apprproxy.demo.answer import Answer, is_content, is_package, reason_of, source_of

_PATIENCE = aiohttp.ClientTimeout(total=60)


class Client:
    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._session = aiohttp.ClientSession(timeout=_PATIENCE, auto_decompress=False)

    async def content(self, part: str, path: str, asked: str | None = None) -> Answer:
        """OCI content, by the digest ``asked`` or by a tag."""
        status, headers, body = await self._get(path)
        stated = headers.get("Docker-Content-Digest", "")
        return _answer(part, status, headers, body, verified=is_content(body, stated, asked), digest=stated)

    async def document(self, part: str, path: str) -> Answer:
        """JSON that names things."""
        status, headers, body = await self._get(path)
        return _answer(part, status, headers, body, verified=None)

    async def package(self, part: str, path: str, tar: str) -> Answer:
        """An App Registry archive whose tar has this digest."""
        status, headers, body = await self._get(path)
        return _answer(part, status, headers, body, verified=is_package(body, headers.get("ETag", ""), tar))

    async def metrics(self) -> str:
        _, _, body = await self._get("/metrics")
        return body.decode()

    async def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.get(f"{self._gateway}{path}") as response:
            return response.status, response.headers, await response.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()


def _answer(
    part: str, status: int, headers: Mapping[str, str], body: bytes, *, verified: bool | None, digest: str = ""
) -> Answer:
    source = source_of(headers.get("Cache-Status", ""))
    if status != 200:
        return Answer(part, status, source, reason=reason_of(body))
    return Answer(part, status, source, verified, body=body, digest=digest)
