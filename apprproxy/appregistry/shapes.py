"""The JSON that App Registry servers send: what is relied on is checked, the rest is passed on as it came. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError, model_validator

from apprproxy.core.digest import Digest
from apprproxy.core.documents import NotADocument, composed, elements, fields, listed, parsed, spelt
from apprproxy.core.model import Expected

_SHORT = re.compile(r"application/vnd\.[a-z]+\.package-manifest\.([0-9A-Za-z].*)\.v\d+\.json")

MAX_MANIFESTS = 5000
"""Of a package: all formats of all its releases. The first digest of each is kept for good."""

Text = Annotated[str, Field(min_length=1, max_length=512)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _spelt(cls, found: Any) -> Any:
        return spelt(found, *_names(cls)) if isinstance(found, dict) else found


@cache
def _names(shape: type[_Shape]) -> tuple[str, ...]:
    """As JSON has them."""
    return tuple(field.alias or name for name, field in shape.model_fields.items())


class Content(_Shape):
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


Version = Annotated[str, Field(pattern="^[0-9A-Za-z][0-9A-Za-z.+_~-]{0,127}$")]
"""It ends up in a header field and in the name of the file that clients write, wherever a ``/`` in it would lead."""


MediaType = Annotated[
    str, Field(pattern="^[0-9A-Za-z][0-9A-Za-z._+-]*(/[0-9A-Za-z][0-9A-Za-z._+-]*)?$", max_length=127)
]
"""Or a format alone. It becomes a part of names, which people are told to copy into a shell."""


class Named(_Shape):
    """What one format of one release is called."""

    package: Text
    release: Version
    media_type: Annotated[MediaType, Field(alias="mediaType")]

    @property
    def format(self) -> str:
        """The short form that paths use."""
        match = _SHORT.fullmatch(self.media_type)
        return match[1] if match else self.media_type

    @property
    def title(self) -> str:
        return title_of(self.package, self.release, self.format)


class PackageManifest(Named):
    """One format of one release."""

    content: Content

    @property
    def digest(self) -> Digest:
        """Of the uncompressed tar."""
        return Digest("sha256", self.content.digest)


class ListedPackage(_Shape):
    """Of whatever length: the genuine servers take releases of thousands of characters, and whoever may push one would
    keep everybody from the list of all."""

    name: str
    releases: Annotated[list[str], FailFast()] = []


class Channel(_Shape):
    """``current`` is the release that it leads to."""

    name: Text
    current: Version | None = None


class NotTheShape(ValueError):
    """The document is not what its end point answers with."""


_NAMED = TypeAdapter(Named)
_MANIFEST = TypeAdapter(PackageManifest)
_PACKAGE = TypeAdapter(ListedPackage)
_CHANNEL = TypeAdapter(Channel)
_OBJECT = TypeAdapter(dict[str, Any])


def title_of(package: str, release: str, media_type: str) -> str:
    """A release as ``apprproxy names`` writes it; no part contains a blank."""
    return f"{package}@{release}/{media_type}".replace(" ", "_")


def any_title_of(title: str) -> str:
    """Of the same release, without saying in which format: ``-``, as clients ask who are told none."""
    package, _, release = title.partition("@")
    return title_of(package, release.partition("/")[0], "-")


def _read(adapter: TypeAdapter[Any], body: bytes) -> Any:
    return _shaped(adapter, _parsed(body))


def _each(adapter: TypeAdapter[Any], body: bytes) -> Iterator[Any]:
    """Those of a list, one after the other: in one call, what is wrong with each of a million would be told."""
    found = _parsed(body)
    if not isinstance(found, list):
        raise NotTheShape("document: Input should be a valid list")
    return (_shaped(adapter, one, f"{at}.") for at, one in enumerate(found))


def _parsed(body: bytes) -> Any:
    try:
        return parsed(body)
    except NotADocument as error:
        raise NotTheShape(str(error)) from None


def _shaped(adapter: TypeAdapter[Any], found: Any, at: str = "") -> Any:
    try:
        return adapter.validate_python(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = at + ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise NotTheShape(f"{where.strip('.') or 'document'}: {what}") from None


def read_manifest(body: bytes) -> PackageManifest:
    manifest: PackageManifest = _read(_MANIFEST, body)
    return manifest


def read_title(package: str, release: Any, media_type: Any) -> str:
    """Of what may stand in a manifest; raises NotTheShape for anything else."""
    named: Named = _shaped(_NAMED, {"package": package, "release": release, "mediaType": media_type})
    return named.title


def read_manifests(body: bytes) -> list[PackageManifest]:
    """Raises NotTheShape also where one of them is there twice: of which two readers might choose different ones."""
    manifests: dict[str, PackageManifest] = {}
    for manifest in _each(_MANIFEST, body):
        if manifests.setdefault(manifest.title, manifest) is not manifest:
            raise NotTheShape(f"{manifest.title[:200]!r} is in it twice")
        if len(manifests) > MAX_MANIFESTS:
            raise NotTheShape(f"it has more than {MAX_MANIFESTS} manifests")
    return list(manifests.values())


def children(document: bytes) -> tuple[Expected, ...]:
    """The packages that a release's document, or a list of them, names."""
    try:
        manifests = read_manifests(document)
    except NotTheShape:
        try:
            manifests = [read_manifest(document)]
        except NotTheShape:
            return ()
    return tuple(Expected(unpacked=manifest.digest) for manifest in manifests)


def check_packages(body: bytes) -> None:
    _check_each(_PACKAGE, body)


def check_channels(body: bytes) -> None:
    _check_each(_CHANNEL, body)


def read_channel(body: bytes) -> Channel:
    channel: Channel = _read(_CHANNEL, body)
    return channel


def check_object(body: bytes) -> None:
    _read(_OBJECT, body)


def _check_each(adapter: TypeAdapter[Any], body: bytes) -> None:
    for _ in _each(adapter, body):
        pass


def with_digests(body: bytes, digests: Mapping[str, Digest]) -> bytes:
    """The document, one manifest or a list of them, with first-seen digests in place of those that moved; all else is
    as it came. Raises NotTheShape for what has more fields than are taken apart."""
    try:
        return listed([_held(manifest, raw, digests) for manifest, raw in elements(body)])
    except NotADocument:  # no list, then: that it is a document has been checked
        return _held(_parsed(body), body, digests)


def _held(manifest: Any, raw: bytes, digests: Mapping[str, Digest]) -> bytes:
    shape = PackageManifest.model_validate(manifest)
    if shape.title not in digests:
        return raw
    try:
        whole = fields(raw)
        content = _replaced(fields(whole["content"][1]), "digest", b'"%s"' % digests[shape.title].hex.encode())
    except NotADocument as error:
        raise NotTheShape(str(error)) from None
    return _replaced(whole, "content", content)


def _replaced(document: Mapping[str, tuple[Any, bytes]], field: str, value: bytes) -> bytes:
    """An object by its fields. To write all of it anew would be one call, in which no thread has a turn."""
    return composed({name: value if name == field else raw for name, (_, raw) in document.items()})
