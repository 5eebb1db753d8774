"""The one way in: a request is parsed, given to the face that claims it, answered, measured and logged.

A face never sees a malformed path; a client never sees a traceback; every request ends in exactly one report.
"""

import asyncio
import logging
import secrets
import time
import traceback
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from apprproxy.core.errors import Failure, Interrupted, Loop, NotHeld, UpstreamFault, faults_in
from apprproxy.core.host import Host
from apprproxy.core.label import whose
from apprproxy.core.model import Cache, Verdict
from apprproxy.face.exchange import Exchange
from apprproxy.face.headers import passed_by
from apprproxy.face.host import refuse_foreign
from apprproxy.face.send import BrokenOff, ClientLeft
from apprproxy.face.server import Connection
from apprproxy.face.status import is_remembered
from apprproxy.face.target import origin_form, parse_target
from apprproxy.gateway.diary import handed_on

log = logging.getLogger(__name__)


class Face(Protocol):
    """One protocol as clients speak it."""

    name: str

    def claims(self, path: str) -> bool:
        """Is a path of this raw beginning ours? Decides also in whose words a malformed path is refused."""
        ...

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        """Answer, or raise a Failure before anything has been sent."""
        ...

    async def refuse(self, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        """Tell a failure in the protocol's own words."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """How a request ended. ``outcome`` is ``done``, ``not-held`` (its client wants no more done), ``client-left``,
    ``broken-off`` or ``crashed``. ``waited`` is the part of its ``seconds`` until the headers of the answer, or all of
    them where there was none."""

    exchange: Exchange
    seconds: float
    waited: float
    outcome: str
    failure: str = ""


Reporter = Callable[[Report], None]


class Door:
    """``instance`` is our own name in Via fields. ``opened`` is told the id of each request, for what is logged on the
    way. The last face claims everything. ``hosts`` are the domains by which clients may come, None for any. ``cut`` is
    how many requests were broken off because we stop."""

    def __init__(
        self,
        faces: tuple[Face, ...],
        instance: str,
        stall: float,
        report: Reporter,
        opened: Callable[[str], None],
        hosts: AbstractSet[Host] | None = None,
    ) -> None:
        self._faces = faces
        self._instance = instance
        self._stall = stall
        self._report = report
        self._opened = opened
        self._hosts = hosts
        self.cut = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = Exchange(request, secrets.token_hex(8), self._stall)
        self._opened(exchange.id)
        outcome, reason = "crashed", ""
        try:
            response, outcome, reason = await self._answer(exchange)
        except BrokenOff as broken:
            outcome, reason = "broken-off", str(broken)
            _let_go(broken)
            raise
        except (ConnectionError, asyncio.CancelledError) as gone:
            if isinstance(request.protocol, Connection) and request.protocol.cut:
                outcome, reason = "broken-off", "this gateway stopped"
                self.cut += 1
            else:
                outcome, reason = "client-left", str(gone) if isinstance(gone, ClientLeft) else "the client left"
            exchange.tried = exchange.tried or handed_on(gone)
            _let_go(gone)
            raise
        else:
            return response
        finally:
            self._report(_report(exchange, outcome, reason))

    async def _answer(self, exchange: Exchange) -> tuple[web.StreamResponse, str, str]:
        """With the outcome, and why."""
        raw = exchange.request.raw_path
        path = origin_form(raw).partition("?")[0]
        face = next(face for face in self._faces if face.claims(path))
        exchange.face = face.name
        try:
            self._refuse_loop(exchange.request)
            if self._hosts is not None:
                refuse_foreign(raw, exchange.request.headers.getall("Host", []), self._hosts)
            exchange.target = parse_target(raw)
            return await face.serve(exchange), "done", ""
        except Failure as failure:
            exchange.upstream = exchange.upstream or _whose(failure)
            if is_remembered(failure) and exchange.verdict is None:
                exchange.verdict = Verdict(Cache.HIT, detail="negative")
            exchange.tried = handed_on(failure)
            outcome = "not-held" if isinstance(failure, NotHeld) and exchange.only_held else "done"
            return await self._tell(face, exchange, failure), outcome, str(failure)
        except ConnectionError:
            raise
        except Exception:
            log.exception("a request crashed", extra={"path": path[:200]})
            sorry = Interrupted("this gateway has a defect; its log has the traceback under this request's id")
            return await self._tell(face, exchange, sorry), "done", str(sorry)

    async def _tell(self, face: Face, exchange: Exchange, failure: Failure) -> web.StreamResponse:
        if exchange.status:  # headers are out: breaking off is all that is left to say
            raise BrokenOff(str(failure)) from failure
        return await face.refuse(exchange, failure)

    def _refuse_loop(self, request: web.BaseRequest) -> None:
        for field in request.headers.getall("Via", []):
            if passed_by(field, f"apprproxy-{self._instance}"):
                raise Loop("this request has been here before: an upstream's url leads back to this gateway")


def _let_go(error: BaseException) -> None:
    """Of what the calls held that have ended by it. The library keeps the error in a cycle with its own task, so that
    the file of a client that left would stay open until the collector comes by."""
    traceback.clear_frames(error.__traceback__)
    error.__cause__ = error.__context__ = None


def _whose(failure: Failure) -> str:
    """The upstreams at fault; a mirror's is its upstream's."""
    sources = [whose(fault.source) for fault in faults_in(failure) if isinstance(fault, UpstreamFault)]
    return ", ".join(dict.fromkeys(sources))


def _report(exchange: Exchange, outcome: str, reason: str) -> Report:
    now = time.monotonic()
    waited = (exchange.answered or now) - exchange.began
    return Report(exchange, now - exchange.began, waited, outcome, reason)
