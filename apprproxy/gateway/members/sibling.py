"""A mirror that is another cache of the same upstream: asked for what it holds, and never to fetch it."""

from collections.abc import Mapping
from dataclasses import replace

from apprproxy.core.errors import Outage, UpstreamFault
from apprproxy.core.model import BlobWant
from apprproxy.core.ports.upstream import Reply, Request, Speaks, is_not_held

ONLY_HELD: Mapping[str, str] = {"Cache-Control": "only-if-cached"}
"""RFC 9111, section 5.2.1.7: 504 where it is not held. Two that ask each other so never wait for one another."""


class Sibling:
    """Implements Speaks. ``speaks`` is how such a mirror is asked otherwise."""

    def __init__(self, speaks: Speaks) -> None:
        self._speaks = speaks

    def blob_request(self, want: BlobWant) -> Request:
        request = self._speaks.blob_request(want)
        return replace(request, headers={**request.headers, **ONLY_HELD}, only_held=True)

    def judge(self, reply: Reply) -> UpstreamFault | None:
        fault = self._speaks.judge(reply)
        if fault is not None and is_not_held(reply.status, reply.headers):
            return Outage(fault.source, "does not hold it", reply.status)
        return fault
