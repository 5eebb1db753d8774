"""What is asked, what is known, what is held: the values that travel between faces, gateway, upstreams and store.

- Names come from the trusted, bytes may come from anyone: a value speaks of one or of the other.
- A title is a name as an operator writes it, without its upstream: ``library/app:1.0``, ``alice/nginx@0.1.0/helm``.
- Sizes are bytes, times are seconds since the epoch, durations are seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apprproxy.core.digest import Digest
from apprproxy.core.kind import Kind
from apprproxy.core.label import Label

Clock = Callable[[], float]
"""Seconds since the epoch."""

KIB = 1024
MIB = 1024 * KIB

MAX_DOCUMENT = 8 * MIB
"""A manifest, list or package document: twice what containerd reads (4.4 MB) and what the specification asks of a
registry (4 MiB)."""

MAX_PACKED = 64 * MIB
"""A package as it travels: a chart or a few manifests; Quay takes 2 MB."""

_MAX_DIGITS = 18


def decimal_size(text: str) -> int | None:
    """A size as header fields write it; None for what is none, or has more digits than fit into a record. The digits of
    other scripts are none (RFC 9110, section 8.6)."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


_UNPACKED = "unpacked:"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of bytes before they arrive. At least one digest, never both.

    ``content`` is the digest of the bytes that travel; ``unpacked`` is the digest of the tar inside the gzip that
    travels (App Registry). ``size`` is of the bytes that travel.
    """

    content: Digest | None = None
    unpacked: Digest | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if (self.content is None) == (self.unpacked is None):
            raise ValueError("exactly one of the two digests is expected")

    @property
    def digest(self) -> Digest:
        """The digest that the bytes will be judged by."""
        digest = self.content or self.unpacked
        assert digest is not None
        return digest

    @property
    def key(self) -> str:
        """Equal for wants that the same bytes satisfy."""
        return str(self.content) if self.content else f"{_UNPACKED}{self.unpacked}"

    @classmethod
    def of_key(cls, key: str) -> "Expected":
        """What a ``key`` stands for; raises MalformedDigest."""
        digest = Digest.parse(key.removeprefix(_UNPACKED))
        return cls(unpacked=digest) if key.startswith(_UNPACKED) else cls(digest)


@dataclass(frozen=True, slots=True)
class Place:
    """Who answers: an upstream, or a view with its members of one protocol, in order."""

    name: str
    members: tuple[str, ...]
    protocol: str = ""

    @classmethod
    def of(cls, upstream: str, protocol: str) -> "Place":
        """That upstream alone."""
        return cls(upstream, (upstream,), protocol)

    def home(self, repository: str) -> str:
        """The key under which a view remembers who has a repository; an image and a package may have one name."""
        return f"repository {self.protocol or '-'} {repository}"


@dataclass(frozen=True, slots=True)
class Contribution:
    """Bytes from ``start`` on came from this source (``owner``, ``mirror-1``) of this upstream."""

    upstream: str
    source: str
    start: int

    @property
    def label(self) -> Label:
        return Label(self.upstream, self.source)


@dataclass(frozen=True, slots=True)
class Where:
    """A repository of an upstream as one account sees it: what a client may see is decided by these.

    ``upstream`` is a Member's ``identity``: another URL or account under the same name is another upstream.
    """

    upstream: str
    repository: str


@dataclass(frozen=True, slots=True)
class BlobWant:
    """Immutable bytes, asked of ``place`` for ``repository``.

    ``titles`` are those of the name that led here, where there was one: if the bytes are nowhere to be had and one of
    them moved, this is why.
    """

    place: Place
    repository: str
    expected: Expected
    kind: Kind = Kind.BLOB
    titles: tuple[str, ...] = ()

    @property
    def presence(self) -> "NameWant":
        """The question whether its owner has them there."""
        return NameWant(self.place, self.kind.presence, self.repository, str(self.expected.digest))


@dataclass(frozen=True, slots=True)
class NameWant:
    """Something that changes and has an owner.

    ``name`` tells siblings apart (a tag, ``release/format``, a filter); it is empty where the repository says it all.
    ``within`` is the namespace that a filter names, where it names one.
    """

    place: Place
    kind: Kind
    repository: str = ""
    name: str = ""
    within: str = ""

    @property
    def made_up(self) -> bool:
        """May a client name whatever it likes, and a registry have an empty list for it?"""
        filtered = self.kind in (Kind.PACKAGES, Kind.PACKAGE) and self.name != ""
        return filtered or self.kind is Kind.TAGS

    @property
    def part(self) -> bool:
        """Has its repository one owner in a view, whoever else has this in one of that name? A list of a package by a
        filter is a part of that package."""
        return self.kind.part or (self.kind is Kind.PACKAGE and self.name != "")

    @property
    def about(self) -> str:
        """What trouble with it is counted for: its repository, or a list and its filter, which no repository is
        called."""
        return self.repository or f"_{self.kind}?{self.name}".removesuffix("?")

    @property
    def key(self) -> str:
        """Equal for equal names whatever the place; words are separated by blanks, which no parsed name contains."""
        return f"{self.kind} {_word(self.repository)} {_word(self.name)}"


_NO_WORD = "-"
_DASH = '"-"'
"""A name that is a dash (a media type that clients may filter by); no parsed name contains a quotation mark."""


def _word(text: str) -> str:
    return _DASH if text == _NO_WORD else text or _NO_WORD


def spoken(key: str) -> str:
    """What such a key asks for, in an operator's words: ``library/app:1.0``, ``tags of library/app``."""
    kind, repository, name = ("" if word == _NO_WORD else word for word in key.split(" "))
    match kind:
        case Kind.TAG:
            return f"{repository}:{name}"
        case Kind.RELEASE:
            return f"{repository}@{name}"
        case Kind.PRESENCE | Kind.MANIFEST_PRESENCE:
            return f"{repository}@{name}"
        case _:
            return " ".join(word for word in (f"{kind} of" if repository else kind, repository, name) if word)


def want_of(place: Place, key: str) -> NameWant | None:
    """The want whose key this is; None for what this version does not know."""
    words = key.split(" ")
    if len(words) != 3 or words[0] not in set(Kind):
        return None
    repository, name = ({_NO_WORD: "", _DASH: _NO_WORD}.get(word, word) for word in words[1:])
    return NameWant(place, Kind(words[0]), repository, name)


@dataclass(frozen=True, slots=True)
class Write:
    """A change, as its caller asked for it. ``path`` and ``query`` are as the protocol writes them, below its prefix.

    ``repository`` is whose names change, empty for none; ``changed`` are the keys (``NameWant.key``) of those that are
    another's afterwards or gone; ``titles`` are the names that it gives a content of its own.
    """

    place: Place
    method: str
    path: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""
    authorization: str | None = None
    repository: str = ""
    changed: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a name points at (OCI image specification, descriptor.md). ``size`` is -1 where it is not known."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Record:
    """A name as it is remembered: where it points, who said so, and when that was last confirmed. ``doubtful``: it is
    to be asked anew, however fresh it is. ``told`` is the identity of who was told so (``Member.identity``): that bytes
    are there is true for that account alone. ``empty``: it is a list, and has nothing in it."""

    target: Descriptor
    origin: str
    checked: float
    since: float
    doubtful: bool = False
    told: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """The first digest seen for a name that is documented as immutable, and what it was moved to, if it was.
    ``pushed`` is what a write through here put in its place, if its upstream did as it said."""

    digest: Digest
    at: float
    moved_to: Digest | None = None
    pushed: Digest | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What an upstream said of a name.

    ``body`` is the document, where the answer brought it; ``manifest`` says that the target is a document that is to be
    fetched by its digest. ``titles`` are those that the answer mentions, with the digest that it claims for each;
    ``passed_over`` are those that were asked for to the letter, where it is of others. ``aliases`` has for a title one
    that says less and may mean the same, as ``acme/app@1.0/-`` may mean ``acme/app@1.0/helm``. ``alias`` is such a one
    that was asked for; then ``titles`` has only what it was answered with, and what it meant first stands likewise.
    ``trail`` is the upstream's own Cache-Status. ``empty``: a list without entries, as registries have for whatever
    they are asked by.
    """

    target: Descriptor
    body: bytes | None = None
    manifest: bool = False
    titles: Mapping[str, Digest] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    alias: str = ""
    trail: str = ""
    empty: bool = False


class Cache(StrEnum):
    """How an answer came about, as metrics and logs say it."""

    HIT = "hit"
    MISS = "miss"
    COLLAPSED = "collapsed"
    REVALIDATED = "revalidated"
    STALE = "stale"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer came about, in enough detail for Cache-Status (RFC 9211).

    ``ttl`` is what was left of the freshness, negative when it had run out; ``age`` is how long ago the owner last
    confirmed the name, None for immutable bytes; ``trail`` is what caches before us said, to which we append.
    """

    cache: Cache
    age: float | None = None
    ttl: float | None = None
    status: int | None = None
    detail: str | None = None
    stored: bool = False
    trail: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an upstream's names are treated. Durations in seconds."""

    fresh_for: float = 60.0
    stale_for: float = 7 * 86400.0
    missing_for: float = 10.0
    moved: str = "follow"
    gone: str = "follow"
    writes: str = "refuse"
    names: str = "trust"
    timeout: float = 10.0
    revalidate: float = 1.5
