"""Results of the search, and provenance, as JSON objects: the shapes that ``openapi.yaml`` describes. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apprproxy.api.provenance import Part, Provenance
from apprproxy.core.listing import Base, ListReader
from apprproxy.core.model import FirstSeen
from apprproxy.core.trace import Refusal
from apprproxy.search.index import Result, Results, Source

Document = dict[str, Any]


def search_document(results: Results, lists: Mapping[str, ListReader], base: Base) -> Document:
    """``lists`` by protocol; ``base`` is how whoever asks reaches this gateway."""
    return {
        "results": [_result(one, lists[one.protocol], base) for one in results.results],
        "more": results.more,
        "missing": list(results.missing),
        "sources": [_source(one) for one in results.sources],
    }


def _result(one: Result, lists: ListReader, base: Base) -> Document:
    thing = one.thing
    return {
        "name": thing.name,
        "kind": one.protocol,
        "upstream": one.upstream,
        "match": one.match.name.lower(),
        "latest": thing.latest or None,
        "versions": thing.versions,
        "formats": list(thing.formats),
        "channels": None if thing.channels is None else list(thing.channels),
        "pull": [
            {"client": command.client, "command": command.line} for command in lists.commands(base, one.upstream, thing)
        ],
    }


def _source(one: Source) -> Document:
    checked = _known(one.checked)
    return {
        "upstream": one.upstream,
        "kind": one.protocol,
        "state": one.state.value,
        "names": one.names,
        "cut": one.cut,
        "checked": checked,
    }


def provenance_document(one: Provenance) -> Document:
    return {
        "name": one.name,
        "kind": one.protocol,
        "owner": one.owner,
        "digest": str(one.digest),
        "since": _known(one.since),
        "checked": _known(one.checked),
        "first_seen": None if one.first_seen is None else _first(one.first_seen),
        "pinned": one.pinned,
        "parts": [_part(part) for part in one.parts],
        "cut": one.cut,
        "refused": [_refusal(refusal) for refusal in one.refused],
    }


def _first(first: FirstSeen) -> Document:
    moved_to = None if first.moved_to is None else str(first.moved_to)
    return {"digest": str(first.digest), "at": written(first.at), "moved_to": moved_to}


def _part(part: Part) -> Document:
    kept = part.kept
    return {
        "digest": str(part.expected.digest),
        "unpacked": part.expected.unpacked is not None,
        "held": kept is not None,
        "size": kept.size if kept is not None else None,
        "verified": written(kept.verified) if kept is not None else None,
        "sources": [{"source": came.source, "at": written(came.at)} for came in part.sources],
    }


def _refusal(one: Refusal) -> Document:
    return {
        "subject": one.subject,
        "source": one.source,
        "expected": str(one.expected),
        "got": str(one.got) if one.got is not None else None,
        "reason": one.reason or None,
        "at": written(one.at),
    }


def _known(at: float | None) -> str | None:
    return None if at is None else written(at)


def written(at: float) -> str:
    """A time as RFC 3339 has it, in UTC, to the second."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
