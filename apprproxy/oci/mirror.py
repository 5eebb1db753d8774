"""A mirror of an OCI registry: the same bytes by the same digests, perhaps below a repository of its own."""

from dataclasses import replace

from apprproxy.core.errors import UpstreamFault
from apprproxy.core.model import BlobWant
from apprproxy.core.ports.upstream import Reply, Request
from apprproxy.oci.dialect import OciDialect


class OciMirror:
    """``prefix`` stands before every repository (another apprproxy: the upstream's name there), empty for nothing.
    Implements Speaks."""

    def __init__(self, name: str, prefix: str = "") -> None:
        self._dialect = OciDialect(name)
        self._prefix = f"{prefix}/" if prefix else ""

    def blob_request(self, want: BlobWant) -> Request:
        return self._dialect.blob_request(replace(want, repository=f"{self._prefix}{want.repository}"))

    def judge(self, reply: Reply) -> UpstreamFault | None:
        return self._dialect.judge(reply)
