"""A directory behind a plain web server, as a static mirror is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.fakes.listening import listening


@asynccontextmanager
async def tree(root: Path, asked: list[str]) -> AsyncIterator[str]:
    """Its URL; ``asked`` takes every request's header, by which a test sees what it was sent."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(f"{request.method} {request.raw_path} {sorted(name.lower() for name in request.headers)}")
        path = root / request.path.lstrip("/")
        return web.FileResponse(path) if path.is_file() else web.Response(status=404, text="<html>not found</html>")

    async with listening(serve) as url:
        yield url
