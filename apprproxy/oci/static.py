"""An OCI image layout behind any web server: bytes at the path of their digest, and nothing else.

App Registry's digests are of the tar inside, so a layout keeps links for them beside the blobs: ``unpacked/``. A cache
directory of this program is such a layout.
"""

from apprproxy.core.errors import NotThere, Outage, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant
from apprproxy.core.ports.upstream import Lane, Reply, Request


class StaticTree:
    """Implements Speaks. ``name`` is said in failures."""

    def __init__(self, name: str) -> None:
        self._name = name

    def blob_request(self, want: BlobWant) -> Request:
        """The repository does not matter: one layout holds many."""
        digest = want.expected.digest
        folder = "blobs" if want.expected.content is not None else "unpacked"
        path = f"/{folder}/{digest.algorithm}/{digest.hex}"
        lane = Lane.BLOBS if want.kind is Kind.BLOB else Lane.NAMES
        return Request("GET", path, headers={"Accept": "*/*"}, about=want.repository, kind=want.kind.label, lane=lane)

    def judge(self, reply: Reply) -> UpstreamFault | None:
        """A web server has no error codes: its status is all it says, and it is a mirror's word."""
        if reply.status in (200, 206):
            return None
        if reply.status in (404, 410):
            return NotThere(self._name, "does not have it", reply.status)
        return Outage(self._name, f"answered {reply.status}", reply.status)
