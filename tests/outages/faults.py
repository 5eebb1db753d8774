"""How each outage of the table is brought about, at an upstream that answered until then."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import Gate
from tests.fakes.content import oci_error
from tests.fakes.lies import Behaviour, Honest
from tests.outages.names import HOST
from tests.outages.owner import Owner, context

QUICK = {"timeouts": {"connect": "200ms", "read": "200ms", "name": "300ms", "revalidate": "100ms"}}
"""Only where time must run out: elsewhere a slow disk would be an outage of its own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``keys`` are of the upstream's section while it lasts. ``anew`` starts the gateway again before it, because
    those keys differ, or because addresses that were resolved are remembered for a while."""

    begin: Callable[[Owner], Awaitable[None]]
    keys: Mapping[str, Any] = field(default_factory=dict)
    anew: bool = False
    scheme: str = "http"
    account: bool = False


async def _unknown(owner: Owner) -> None:
    owner.names.known.discard(HOST)


async def _refused(owner: Owner) -> None:
    await owner.line.refuse()


async def _swallowed(owner: Owner) -> None:
    await owner.line.swallow()


async def _taken_over(owner: Owner) -> None:
    await owner.line.open(context(owner.certificates.foreign))


def _behaving(behaviour: Behaviour) -> Callable[[Owner], Awaitable[None]]:
    async def begin(owner: Owner) -> None:
        owner.behaves(behaviour)

    return begin


def _stalling(at: Callable[[Gate], Behaviour]) -> Callable[[Owner], Awaitable[None]]:
    """At a gate that nobody opens."""

    async def begin(owner: Owner) -> None:
        owner.behaves(at(Gate()))

    return begin


def _says(status: int, oci: str, appr: str, **headers: str) -> Callable[[Owner], Awaitable[None]]:
    """An error in the words of the protocol."""

    async def begin(owner: Owner) -> None:
        flat = orjson.dumps({"code": appr, "message": "said so", "details": {}})
        body = oci_error(oci) if owner.kind == "oci" else flat
        owner.behaves(lies.says(status, body, Content_Type="application/json", **headers))

    return begin


async def _without_tokens(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
    if request.path == "/token":
        return await lies.page(502)(request, _)
    challenge = f'Bearer realm="http://{request.host}/token",service="owner"'
    return await lies.says(401, oci_error("UNAUTHORIZED"), WWW_Authenticate=challenge)(request, _)


_UNAUTHORIZED = _says(401, "UNAUTHORIZED", "unauthorized", WWW_Authenticate='Basic realm="owner"')
_THROTTLED = ("TOOMANYREQUESTS", "too-many-requests")

FAULTS: Mapping[str, Fault] = {
    "DNS failure": Fault(_unknown, anew=True),
    "refused": Fault(_refused),
    "blackhole": Fault(_swallowed, QUICK, anew=True),
    "TLS failure": Fault(_taken_over, scheme="https"),
    "slow headers": Fault(_stalling(lies.waiting_for), QUICK, anew=True),
    "slow body": Fault(_stalling(lies.headers_then), QUICK, anew=True),
    "token end point down": Fault(_behaving(_without_tokens)),
    "401 without our credential": Fault(_UNAUTHORIZED),
    "401 with our credential": Fault(_UNAUTHORIZED, account=True),
    "403": Fault(_says(403, "DENIED", "forbidden")),
    "protocol 404": Fault(_says(404, "NAME_UNKNOWN", "package-not-found")),
    "HTML 404": Fault(_behaving(lies.page(404))),
    "429 without Retry-After": Fault(_says(429, *_THROTTLED)),
    "429 with Retry-After": Fault(_says(429, *_THROTTLED, Retry_After="7")),
    "500": Fault(_behaving(lies.page(500))),
    "503": Fault(_behaving(lies.page(503))),
}
