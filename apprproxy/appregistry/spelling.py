"""How packages are named: ``namespace/name@release``, with ``/format`` where there are several. Pure."""

from collections.abc import Sequence

from apprproxy.appregistry import paths, shapes
from apprproxy.appregistry.shapes import NotTheShape
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.model import Expected, NameWant, Place
from apprproxy.core.spelling import Meaning


class PackageSpelling:
    """Implements Spelling."""

    by_digest = (Kind.BLOB,)

    def expected(self, digest: Digest) -> Expected:
        return Expected(unpacked=digest)

    def wants(self, place: Place, text: str) -> Sequence[NameWant]:
        package, at, release = text.partition("@")
        if not at:
            package, channel, _ = text.partition(":")
            why = "a channel only leads to a release" if channel else f"{package[:80]!r} has no release"
            raise Malformed(f"{why}: write {place.name}/{package[:80]}@RELEASE/FORMAT")
        namespace, _, short = package.partition("/")
        release, slash, media_type = release.partition("/")
        name, version = paths.package_name(namespace, short), paths.release_name(release)
        formats = [paths.format_name(media_type)] if slash else ["-", ""]
        return tuple(paths.release_want(place, name, version, one) for one in formats)

    def meanings(self, want: NameWant, target: Digest, document: bytes) -> Sequence[Meaning]:
        try:
            manifests = [shapes.read_manifest(document)] if "/" in want.name else shapes.read_manifests(document)
        except NotTheShape:
            raise Malformed(f"what is held of {want.repository} is no package") from None
        by_any = want.name.endswith("/-")
        return tuple(
            Meaning(one.title, self.expected(one.digest), shapes.any_title_of(one.title) if by_any else "")
            for one in manifests
        )

    def repository(self, title: str) -> str:
        return title.partition("@")[0]

    def aliases(self, title: str) -> Sequence[str]:
        return (shapes.any_title_of(title),)
