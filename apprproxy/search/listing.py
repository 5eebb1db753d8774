"""What is known of one upstream's list, and the same as it is written to a file. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from apprproxy.core.listing import Facts, Listed
from apprproxy.search.corpus import Corpus

FORMAT = 1
_NAME = re.compile("[!-~]+")


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
    """``document`` is the digest of the list, ``checked`` when its upstream last confirmed it."""

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
        things = [_listed(*one) for one in document["things"]]
        facts = {name: _facts(*one) for name, one in document["facts"].items()}
        return things, facts, str(document["document"]), float(document["checked"])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadListing(str(error)) from None


def _listed(name: Any, latest: Any, versions: Any, formats: Any, channels: Any) -> Listed:
    """Raises BadListing: a name with a line break in it would move all that follow it."""
    if not (isinstance(name, str) and _NAME.fullmatch(name) and isinstance(latest, str)):
        raise BadListing("it has names that are none")
    return Listed(name, latest, _count(versions), _texts(formats), None if channels is None else _texts(channels))


def _facts(latest: Any, versions: Any, channels: Any) -> Facts:
    """Raises BadListing."""
    if not (latest is None or isinstance(latest, str)):
        raise BadListing("it has facts that are none")
    return Facts(latest, _count(versions), None if channels is None else _texts(channels))


def _count(found: Any) -> int | None:
    if not (found is None or type(found) is int):
        raise BadListing("it has a number that is none")
    return found


def _texts(found: Any) -> tuple[str, ...]:
    if not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
        raise BadListing("it has a list that is none")
    return tuple(found)
