"""A kept list that this version did not write is no list, whatever stands in it."""

import orjson
import pytest

from apprproxy.core.listing import Facts, Listed
from apprproxy.search.corpus import Corpus
from apprproxy.search.listing import BadListing, Listing, dump, load

THINGS = [Listed("alice/nginx", "0.1.0", 2, ("helm",), ("stable",)), Listed("library/app")]
FACTS = {"alice/nginx": Facts("0.1.0", 2, ("stable",)), "library/app": Facts()}


def kept(**changed: object) -> bytes:
    whole = orjson.loads(dump(Listing(Corpus(THINGS), document="sha256:x", checked=1.5), FACTS, "stamp"))
    return orjson.dumps({**whole, **changed})


def test_what_is_written_is_read_again() -> None:
    assert (THINGS, FACTS, "sha256:x", 1.5) == load(kept(), "stamp")


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 99},
        {"stamp": "another"},
        {"things": [[1, "", None, [], None]]},
        {"things": [["two\nlines", "", None, [], None]]},
        {"things": [["", "", None, [], None]]},
        {"things": [["a", None, None, [], None]]},
        {"things": [["a", "", "many", [], None]]},
        {"things": [["a", "", None, "helm", None]]},
        {"things": [["a", "", None, [], {}]]},
        {"things": [["a"]]},
        {"facts": {"a": "abc"}},
        {"facts": {"a": [1, None, None]}},
        {"checked": None},
    ],
)
def test_what_is_no_list_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(BadListing):
        load(kept(**changed), "stamp")
