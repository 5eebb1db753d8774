"""The gateway of the demo: as `apprproxy serve` runs it, configured for the demo's upstreams, its log in a file."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

from apprproxy.app import build
from apprproxy.demo.embedded import HUB, LIAR, OLD_QUAY, Upstreams
from apprproxy.listening import CannotListen
from apprproxy.ops.logs import configure
from apprproxy.serving import serve
from apprproxy.settings import Settings

PORT = 8080


@asynccontextmanager
async def gateway(folder: Path, upstreams: Upstreams, stop: asyncio.Event) -> AsyncIterator[str]:
    """Its URL. It ends with the context, and ``stop`` is set then; raises CannotListen or Failure."""
    with _logging_to(log_file(folder)), _no_proxies():
        try:
            serving, url = await _begun(folder, upstreams, stop, free_port())
        except CannotListen:  # somebody was quicker
            serving, url = await _begun(folder, upstreams, stop, 0)
        try:
            yield url
        finally:
            stop.set()
            await serving


async def _begun(folder: Path, upstreams: Upstreams, stop: asyncio.Event, port: int) -> tuple[asyncio.Task[None], str]:
    listening: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    app = build(settings(folder / "cache", upstreams, port))
    serving = asyncio.create_task(serve(app, stop=stop, listening=listening.set_result), name="gateway")
    both: set[asyncio.Future[Any]] = {serving, listening}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        stop.set()
        await serving
        raise
    if not listening.done():
        await serving
    return serving, listening.result()[0]


def log_file(folder: Path) -> Path:
    return folder / "gateway.log"


def settings(cache: Path, upstreams: Upstreams, port: int) -> Settings:
    """Names are never fresh, so that each round shows what becomes of them."""
    kinds = {HUB: "oci", OLD_QUAY: "appr", LIAR: "oci"}
    return Settings.model_validate(
        {
            "server": {"listen": f"127.0.0.1:{port}"},
            "cache": {"directory": cache},
            "upstreams": {
                name: {"kind": kinds[name], "url": server.url, "fresh_for": "0s", "missing_for": "1s"}
                for name, server in upstreams.servers.items()
            },
            "views": {"default": [HUB, OLD_QUAY]},
        }
    )


def free_port() -> int:
    """8080 if nobody has it, else 0, which is any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", PORT))
            return PORT
    return 0


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    with path.open("w", encoding="utf-8") as file:
        with redirect_stderr(file):
            configure("console", "info")
        try:
            yield
        finally:
            root.handlers = handlers
            root.setLevel(level)


@contextmanager
def _no_proxies() -> Iterator[None]:
    """The upstreams are on loopback, where no proxy of the environment could reach them."""
    named = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in ("http_proxy", "all_proxy")}
    try:
        yield
    finally:
        os.environ.update(named)
