"""The face of the gateway's own end points: ``/api/search``, ``/api/provenance`` and the document that describes them.

``/api/v1`` is the App Registry's; everything else below ``/api`` is answered here, in JSON.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web

from apprproxy.api.provenance import Provenances
from apprproxy.api.told import provenance_document, search_document
from apprproxy.core.errors import Failure, Malformed, NotAllowed, UnknownPlace
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, ListReader
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import NAMES
from apprproxy.face.send import send_body, send_refusal
from apprproxy.face.status import status_of
from apprproxy.search.index import Search
from apprproxy.search.query import query

_JSON = {"Content-Type": "application/json", "Cache-Control": NAMES}
_YAML = {"Content-Type": "application/yaml", "Cache-Control": NAMES}
_CODES = {400: "malformed", 403: "denied", 404: "not-found", 405: "not-allowed", 500: "internal", 508: "loop"}
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""What may stand in a command line that somebody copies into a shell."""
_NAME = re.compile("[!-~]{1,1024}")


class ApiFace:
    """``lists`` by protocol."""

    name = "api"

    def __init__(self, search: Search, provenances: Provenances, lists: Mapping[str, ListReader]) -> None:
        self._search = search
        self._provenances = provenances
        self._lists = lists
        self._openapi = files("apprproxy.api").joinpath("openapi.yaml").read_bytes()

    def claims(self, path: str) -> bool:
        first, _, rest = path[1:].partition("/")
        return first == "api" and rest.partition("/")[0] not in ("v1", "cnr")

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        match exchange.target.segments:
            case ("api", "search"):
                answer = self._found
            case ("api", "provenance"):
                answer = self._traced
            case ("api", "openapi.yaml"):
                answer = self._described
            case _:
                raise UnknownPlace("there is no such end point here; /api/openapi.yaml says what there is")
        if not exchange.reading:
            raise NotAllowed("this can only be read")
        return await answer(exchange)

    async def refuse(self, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        code = _CODES.get(status_of(failure), "unavailable")
        return await send_refusal(exchange, failure, orjson.dumps({"code": code, "message": str(failure)}), _JSON)

    async def _found(self, exchange: Exchange) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.SEARCH, "search"
        asked = _fields(exchange, "q", "kind", "view", "limit")
        wanted = query(asked["q"], asked["kind"], asked["view"], asked["limit"], frozenset(self._lists))
        base = _base(exchange)
        results = await self._search.find(wanted)
        partial = {"Apprproxy-Partial": ", ".join(results.missing)} if results.missing else {}
        return await _send(exchange, search_document(results, self._lists, base), partial)

    async def _traced(self, exchange: Exchange) -> web.StreamResponse:
        exchange.kind, exchange.name = Kind.PROVENANCE, "provenance"
        name = _fields(exchange, "name")["name"]
        if not name or not _NAME.fullmatch(name):
            raise Malformed("name is missing, longer than 1024 characters, or has some that no name has")
        return await _send(exchange, provenance_document(await self._provenances.of(name)), {})

    async def _described(self, exchange: Exchange) -> web.StreamResponse:
        exchange.name = "openapi"
        return await send_body(exchange, 200, self._openapi, _YAML)


async def _send(exchange: Exchange, document: dict[str, Any], headers: Mapping[str, str]) -> web.StreamResponse:
    return await send_body(exchange, 200, orjson.dumps(document), {**_JSON, **headers})


def _fields(exchange: Exchange, *names: str) -> dict[str, str | None]:
    """Each at most once: of two, another reader might take the other. Raises Malformed."""
    given = [key for key, _ in exchange.target.query]
    twice = next((name for name in names if given.count(name) > 1), None)
    if twice is not None:
        raise Malformed(f"{twice} is given twice")
    return {name: exchange.target.get(name) for name in names}


def _base(exchange: Exchange) -> Base:
    """The gateway as this client reaches it; raises Malformed."""
    host = exchange.request.headers.get("Host", "")
    if not _HOST.fullmatch(host):
        raise Malformed("the Host field is missing, or is no host")
    return Base(host, exchange.request.secure)
