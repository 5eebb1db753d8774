"""One request on its way through: what was asked, what is known for the log line, and how it is answered."""

import time
from dataclasses import dataclass, field

from aiohttp import web

from apprproxy.core.host import Host
from apprproxy.core.kind import Kind
from apprproxy.core.model import Verdict
from apprproxy.face.headers import about, again, only_held
from apprproxy.face.host import asked_host
from apprproxy.face.target import Target
from apprproxy.gateway.diary import Tried


@dataclass(slots=True)
class Exchange:
    """``name`` is what was asked for, as a person would write it; ``sent`` counts body bytes; ``fields`` go
    on every answer. ``began`` and ``answered`` (its headers) are by the monotonic clock; ``tried`` is whom it had to
    wait for."""

    request: web.BaseRequest
    id: str
    stall: float
    target: Target = field(default_factory=lambda: Target(()))
    face: str = "none"
    kind: Kind | None = None
    name: str = ""
    verdict: Verdict | None = None
    upstream: str = ""
    status: int = 0
    sent: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    answered: float | None = None
    tried: tuple[Tried, ...] = ()

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def reading(self) -> bool:
        return self.request.method in ("GET", "HEAD")

    @property
    def host(self) -> Host | None:
        """By which the client reached us, whatever that host is; raises Malformed."""
        return asked_host(self.request.raw_path, self.request.headers.getall("Host", []))

    @property
    def again(self) -> bool:
        return again(self.field("Cache-Control"), self.field("Pragma"))

    @property
    def only_held(self) -> bool:
        return only_held(self.field("Cache-Control"))

    def field(self, name: str) -> str | None:
        """All of that name, as one list (RFC 9110, section 5.3)."""
        found = self.request.headers.getall(name, [])
        return ", ".join(found) if found else None

    @property
    def old_http(self) -> bool:
        """HTTP/1.0: many of its clients take a connection that ends early for one that ends well, whatever the length
        said."""
        return self.request.version < (1, 1)

    def found(self, verdict: Verdict, upstream: str, control: str) -> dict[str, str]:
        """Who answers, and how that came about, for the log line and the metrics; and the fields that say it to the
        client, with this Cache-Control."""
        self.verdict, self.upstream = verdict, upstream
        return about(verdict, upstream, control)
