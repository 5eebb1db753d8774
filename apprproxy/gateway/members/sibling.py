"""A mirror that is another cache of the same upstream: asked for what it holds, and never to fetch it."""

from collections.abc import Mapping
from dataclasses import replace

from apprproxy.core.errors import UpstreamFault
from apprproxy.core.model import BlobWant
from apprproxy.core.ports.upstream import Reply, Request, Speaks

ONLY_HELD: Mapping[str, str] = {"Cache-Control": "only-if-cached"}
"""RFC 9111, section 5.2.1.7: 504 where it is not held. Two that ask each other so never wait for one another."""


class Sibling:
    """Implements Speaks. ``speaks`` is how such a mirror is asked otherwise."""

    def __init__(self, speaks: Speaks) -> None:
        self._speaks = speaks

    def blob_request(self, want: BlobWant) -> Request:
        request = self._speaks.blob_request(want)
        return replace(request, headers={**request.headers, **ONLY_HELD})

    def judge(self, reply: Reply) -> UpstreamFault | None:
        return self._speaks.judge(reply)
