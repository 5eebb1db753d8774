"""The kinds of questions."""

from enum import StrEnum


class Kind(StrEnum):
    """What a want is for; also the closed set behind the metrics' ``kind`` label."""

    BLOB = "blob"
    MANIFEST = "manifest"
    TAG = "tag"
    TAGS = "tags"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    PRESENCE = "presence"
    MANIFEST_PRESENCE = "manifest-presence"
    REPOSITORY = "repository"
    PACKAGES = "packages"
    PACKAGE = "package"
    RELEASE = "release"
    CHANNEL = "channel"
    CHANNELS = "channels"
    VERSION = "version"
    SEARCH = "search"
    PROVENANCE = "provenance"

    @property
    def document(self) -> bool:
        """Of bytes by digest: is it a document, which is small, read whole, and names further bytes?"""
        return self is Kind.MANIFEST

    @property
    def presence(self) -> "Kind":
        """Of bytes by digest: the question whether they are there."""
        return Kind.MANIFEST_PRESENCE if self.document else Kind.PRESENCE

    @property
    def content(self) -> bool:
        """Does such a name lead to content that is worth keeping when its owner has dropped it? A channel or a list is
        about what there is now."""
        return self in _CONTENT

    @property
    def by_digest(self) -> bool:
        """Whether bytes are there that a digest names, which is no name."""
        return self in _BY_DIGEST

    @property
    def bodiless(self) -> bool:
        """Is there nothing to keep but the answer itself: that it is there?"""
        return self.by_digest or self is Kind.REPOSITORY

    @property
    def part(self) -> bool:
        """Is it one of several names in a repository, all of which have one owner in a view?"""
        return self in _PARTS

    @property
    def lists_it(self) -> bool:
        """Is it a list of what there is in a repository?"""
        return self in _LISTS_IT

    @property
    def everything(self) -> bool:
        """Is it the list of all that an upstream has? Such a list may be empty, and is never gone."""
        return self in _EVERYTHING

    @property
    def label(self) -> str:
        """The name under which metrics count it."""
        return _LABELS.get(self, self.value)


_CONTENT = {Kind.TAG, Kind.PACKAGE, Kind.RELEASE}
_BY_DIGEST = {Kind.PRESENCE, Kind.MANIFEST_PRESENCE}
_PARTS = {Kind.TAG, Kind.RELEASE, Kind.CHANNEL, Kind.CHANNELS}
_LISTS_IT = {Kind.TAGS, Kind.PACKAGE, Kind.CHANNELS, Kind.REFERRERS}
_EVERYTHING = {Kind.PACKAGES, Kind.CATALOG}
_LABELS = {
    Kind.TAG: "manifest",
    Kind.PRESENCE: "blob",
    Kind.MANIFEST_PRESENCE: "manifest",
    Kind.PACKAGES: "package",
    Kind.CHANNELS: "channel",
}
