"""How images and charts are named: ``repository:tag``. Pure."""

from collections.abc import Sequence

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.model import Expected, NameWant, Place
from apprproxy.core.spelling import Meaning
from apprproxy.oci import names


class OciSpelling:
    """Implements Spelling."""

    by_digest = (Kind.MANIFEST, Kind.BLOB)

    def expected(self, digest: Digest) -> Expected:
        return Expected(digest)

    def wants(self, place: Place, text: str) -> Sequence[NameWant]:
        repository, colon, tag = text.rpartition(":")
        if "@" in text:
            raise Malformed(f"{text[:80]!r} is no tag: write REPOSITORY:TAG", "TAG_INVALID")
        if not colon:
            raise Malformed(f"{text[:80]!r} has no tag: write REPOSITORY:TAG", "TAG_INVALID")
        return (NameWant(place, Kind.TAG, names.repository(repository), names.tag(tag)),)

    def meanings(self, want: NameWant, target: Digest, document: bytes) -> Sequence[Meaning]:
        return (Meaning(f"{want.repository}:{want.name}", Expected(target)),)

    def repository(self, title: str) -> str:
        return title.rpartition(":")[0]

    def aliases(self, title: str) -> Sequence[str]:
        return ()
