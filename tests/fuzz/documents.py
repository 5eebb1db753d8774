"""Documents: the strict reader, and what verified or listed content is taken for."""

from contextlib import suppress
from unittest.mock import patch

from apprproxy.appregistry.list_reader import PackageListReader
from apprproxy.core import decoding
from apprproxy.core.documents import NotADocument, composed, elements, fields, listed, parsed
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, ListReader
from apprproxy.oci.list_reader import OciListReader
from apprproxy.oci.manifest import children, is_manifest, media_type, stated_type
from tests.fuzz.laws import COMMAND

_DEEP = 200
"""Brackets beyond which a reader may give up, one sooner than another."""
_BASE = Base("gateway.example:8080")


def read(data: bytes) -> None:
    """Cut into parts and read whole, a document is the same; what is none whole is none in parts. Nor does it matter
    how much of it is read at once."""
    whole = _whole(data)
    with patch.object(decoding, "PIECE", 8):
        assert _is_deep(data) or repr(whole) == repr(_whole(data))
    inside = _elements(data) if _fields(data) is None else _fields(data)
    if inside is not None:
        assert whole == (inside,) or _is_deep(data)
    elif whole is not None:
        assert not isinstance(whole[0], list) or _is_deep(data)


def _whole(data: bytes) -> tuple[object] | None:
    with suppress(NotADocument):
        return (parsed(data),)
    return None


def _elements(data: bytes) -> list[object] | None:
    try:
        found = list(elements(data))
    except NotADocument:
        return None
    again = listed(raw for _, raw in found)
    assert all(raw in data for _, raw in found)
    assert _is_deep(data) or [value for value, _ in found] == parsed(again)
    return [value for value, _ in found]


def _fields(data: bytes) -> dict[str, object] | None:
    try:
        found = fields(data)
    except NotADocument:
        return None
    again = fields(composed({name: raw for name, (_, raw) in found.items()}))
    assert found == again
    return {name: value for name, (value, _) in found.items()}


def _is_deep(data: bytes) -> bool:
    return data.count(b"[") + data.count(b"{") > _DEEP


def content(data: bytes) -> None:
    """Nothing raises for what an upstream may send; what is told of it fits into a record and a command line."""
    kind = media_type(data)
    assert stated_type(kind) == kind
    assert is_manifest(data) in (True, False)
    below = children(data)
    assert len({one.key for one in below if one.size is None}) <= len(below) <= len(data)
    _listed(OciListReader(), data)
    _listed(PackageListReader(), data)


def _listed(reader: ListReader, data: bytes) -> None:
    for thing in reader.listed(data):
        for command in reader.commands(_BASE, "hub", thing):
            assert COMMAND.fullmatch(command.line), command.line
    for kind in (Kind.TAGS, Kind.CHANNELS):
        facts = reader.facts(kind, data)
        assert facts.latest is None or COMMAND.fullmatch(facts.latest) or not facts.latest
