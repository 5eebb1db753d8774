"""What is known of one upstream's list, and the same as it is written to a file. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from apprproxy.core.listing import Facts, Listed
from apprproxy.search.corpus import Corpus

FORMAT = 1


class State(StrEnum):
    """How it stands with an upstream's list."""

    LISTED = "listed"
    STALE = "stale"
    NOT_OFFERED = "not-offered"
    REFUSED = "refused"
    UNKNOWN = "unknown"

    @property
    def missing(self) -> bool:
        """Could there be names there that nobody can tell?"""
        return self is State.UNKNOWN


@dataclass(frozen=True, slots=True)
class Listing:
    """``document`` is the digest of the list, ``checked`` when its upstream last confirmed it; ``facts`` came since."""

    corpus: Corpus = field(default_factory=lambda: Corpus(()))
    state: State = State.UNKNOWN
    document: str = ""
    checked: float | None = None


class BadListing(ValueError):
    """A file that this version did not write, or not for this upstream."""


def dump(listing: Listing, facts: Mapping[str, Facts], stamp: str) -> bytes:
    things = [[one.name, one.latest, one.versions, one.formats, one.channels] for one in listing.corpus.things]
    learned = {name: [one.latest, one.versions, one.channels] for name, one in facts.items()}
    about = {"format": FORMAT, "stamp": stamp, "document": listing.document, "checked": listing.checked}
    return orjson.dumps({**about, "things": things, "facts": learned})


def load(raw: bytes, stamp: str) -> tuple[list[Listed], dict[str, Facts], str, float]:
    """Raises BadListing."""
    try:
        document: dict[str, Any] = orjson.loads(raw)
        if (document["format"], document["stamp"]) != (FORMAT, stamp):
            raise BadListing("it is of another version, or of another upstream of that name")
        things = [
            Listed(name, latest, versions, tuple(formats), _optional(channels))
            for name, latest, versions, formats, channels in document["things"]
        ]
        facts = {name: Facts(one[0], one[1], _optional(one[2])) for name, one in document["facts"].items()}
        return things, facts, str(document["document"]), float(document["checked"])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadListing(str(error)) from None


def _optional(found: list[str] | None) -> tuple[str, ...] | None:
    return None if found is None else tuple(found)
