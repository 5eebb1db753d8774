"""A name's record and a first-seen digest <-> the bytes that stand for them in the names database. Pure."""

import orjson

from apprproxy.core.digest import Digest
from apprproxy.core.model import Descriptor, FirstSeen, Record
from apprproxy.store.names.fence import ADVICE, Tampered

LATEST = 253_402_300_800.0
"""The year 10,000, which is beyond what a date can be."""
DOUBTFUL = b'"doubtful":true'
"""In every record that is, and in no other: within a text quotation marks have a slash before them."""


def write_record(record: Record) -> bytes:
    target = record.target
    return orjson.dumps(
        {
            "digest": str(target.digest),
            "size": target.size,
            "type": target.media_type,
            "origin": record.origin,
            "checked": record.checked,
            "since": record.since,
            **({"doubtful": True} if record.doubtful else {}),
            **({"told": record.told} if record.told else {}),
            **({"empty": True} if record.empty else {}),
        }
    )


def read_record(raw: bytes | None) -> Record | None:
    """One that cannot be read is none: its owner is asked anew, and what is put in its place can be."""
    try:
        fields = orjson.loads(raw or b"")
        size, kind, origin = fields["size"], fields["type"], fields["origin"]
        target = Descriptor(Digest.parse(fields["digest"]), size, kind)
        checked, since, told = read_time(fields["checked"]), read_time(fields["since"]), fields.get("told", "")
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    ours = type(size) is int and all(isinstance(text, str) for text in (kind, origin, told))
    doubtful, empty = (fields.get(one) is True for one in ("doubtful", "empty"))
    return Record(target, origin, checked, since, doubtful, told, empty) if ours else None


def write_first(first: FirstSeen) -> bytes:
    moved_to = str(first.moved_to) if first.moved_to else None
    pushed = {"pushed": str(first.pushed)} if first.pushed else {}
    return orjson.dumps({"digest": str(first.digest), "at": first.at, "moved_to": moved_to, **pushed})


def read_first(raw: bytes) -> FirstSeen:
    """Raises Tampered of one that cannot be read: to take it for none would be to take whatever comes now."""
    try:
        fields = orjson.loads(raw)
        moved_to = Digest.parse(fields["moved_to"]) if fields["moved_to"] else None
        pushed = Digest.parse(fields["pushed"]) if fields.get("pushed") else None
        return FirstSeen(Digest.parse(fields["digest"]), read_time(fields["at"]), moved_to, pushed)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise Tampered(f"a first-seen digest that is none {ADVICE}") from None


def write_pushed(digest: Digest) -> bytes:
    return str(digest).encode()


def read_pushed(raw: bytes) -> Digest | None:
    """None for one that cannot be read: then the release stays as it was first seen."""
    try:
        return Digest.parse(raw.decode())
    except ValueError:
        return None


def read_time(at: float) -> float:
    """Raises ValueError for one that no calendar has, TypeError for what is none."""
    if not -LATEST < at < LATEST:
        raise ValueError(f"not a time: {at}")
    return at
