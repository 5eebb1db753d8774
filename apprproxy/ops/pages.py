"""The gateway's own pages: is it alive, can it serve, what does it count; and a word for whoever opens it by hand."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
from aiohttp import web

from apprproxy import __version__
from apprproxy.core.errors import Failure, NotAllowed, UnknownPlace
from apprproxy.core.one_by_one import OneByOne, Shared
from apprproxy.face.exchange import Exchange
from apprproxy.face.send import send_body, send_refusal

_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_METRICS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"}
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}

_READY, _COUNTED = ThreadPoolExecutor(1, "ready"), ThreadPoolExecutor(1, "metrics")
"""A gateway that has much to do is not dead."""
_PATIENCE = 10.0
"""Seconds that somebody waits for others' metrics to be made, before it is told to come back."""

_TITLE = f"apprproxy {__version__}: a verifying cache in front of App Registry and OCI registries\n"

_FOR_CLIENTS = """
  OCI             /v2/<upstream or view>/<repository>/…     helm, crane, oras, skopeo, containerd
  App Registry    /<upstream or view>/cnr/api/v1/…          appr
  search          /api/search?q=…  /api/provenance?name=…   described by /api/openapi.yaml

Without a prefix the view `default` answers.
"""


def welcome(*, clients: bool, metrics: bool) -> str:
    """What this address serves."""
    for_operators = f"\n  operations      /healthz  /readyz{'  /metrics' if metrics else ''}\n"
    return _TITLE + (_FOR_CLIENTS if clients else "") + for_operators


class OpsPages:
    """``ready`` says what is wrong, None for nothing; ``ails`` what is to be looked after although all is served, empty
    for nothing; both may block. ``metrics`` is None where they are served on another address. ``about`` is the page
    `/`."""

    name = "ops"

    def __init__(
        self,
        ready: Callable[[], str | None],
        ails: Callable[[], str],
        metrics: Callable[[], bytes] | None,
        about: str,
    ) -> None:
        self._about = about
        self._ready = ready
        self._ails = ails
        self._metrics = metrics
        self._turns = OneByOne(_PATIENCE, "too many ask for the metrics at once; ask again", _COUNTED)

    def claims(self, path: str) -> bool:
        """The last face: whatever nobody else claims."""
        return True

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        page = "/" + "/".join(exchange.target.segments)
        known = {"/", "/healthz", "/readyz"} | ({"/metrics"} if self._metrics else set())
        if page not in known:
            raise UnknownPlace("there is no such page here; / says what there is")
        exchange.name = page
        if not exchange.reading:
            raise NotAllowed("this page can only be read")
        loop = asyncio.get_running_loop()
        if page == "/metrics" and self._metrics is not None:
            return await self._count(exchange, self._metrics)
        if page == "/readyz" and (wrong := await loop.run_in_executor(_READY, self._ready)) is not None:
            return await send_body(exchange, 503, f"not ready: {wrong}\n".encode(), _TEXT)
        ailing = await loop.run_in_executor(_READY, self._ails) if page == "/readyz" else ""
        text = self._about if page == "/" else f"ok, but {ailing}\n" if ailing else "ok\n"
        return await send_body(exchange, 200, text.encode(), _TEXT)

    async def _count(self, exchange: Exchange, metrics: Callable[[], bytes]) -> web.StreamResponse:
        """Made once for those who ask within a second while it is still being sent: some take it slowly, or never."""

        async def made(one: Shared[bytes]) -> bytes:
            return await self._turns.done(one, "", metrics)

        second = int(asyncio.get_running_loop().time())
        async with self._turns.sharing(second, made) as text:
            return await send_body(exchange, 200, text, _METRICS)

    async def refuse(self, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        return await send_refusal(exchange, failure, orjson.dumps({"error": str(failure)}), _JSON)
