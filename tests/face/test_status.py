"""Which HTTP status a failure is, alone and together with others."""

import pytest

from apprproxy.core import errors
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Failure, NotOffered, NotThere, Outage, Throttled, TooSlow, Unauthorized
from apprproxy.face.status import DAY, no_of, retry_after, status_of

NO = NotThere("a", "says NAME_UNKNOWN")
DOWN = Outage("b", "no connection")
SLOW = TooSlow("c", "no answer")
BUSY = Throttled("d", "answered 429", 429, 7.0)
BUSIER = Throttled("e", "answered 503", 503, 30.0)
ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (errors.Malformed("x"), 400),
        (errors.UnknownPlace("x"), 404),
        (errors.NotAllowed("x"), 405),
        (errors.ClientFault("x"), 400),
        (NO, 404),
        (NotOffered("a", "x"), 404),
        (DOWN, 502),
        (SLOW, 504),
        (BUSY, 503),
        (errors.Busy("a", "x"), 503),
        (errors.NoFiles("a", "x"), 500),
        (Unauthorized("a", "x", 401, presented=True), 502),
        (errors.DigestMismatch("a", ONE, TWO), 502),
        (errors.Forbidden("a", "x"), 502),
        (errors.Crowded("x", 5.0), 503),
        (errors.NotHeld("x"), 504),
        (errors.Moved(errors.Move("a", ONE, TWO)), 409),
        (errors.Loop("x"), 508),
        (errors.StoreFailed("x"), 500),
        (errors.Interrupted("x"), 503),
        (Exhausted([]), 404),
        (Exhausted([NO, NO]), 404),
        (Exhausted([NO, DOWN]), 502),
        (Exhausted([SLOW, NO]), 504),
        (Exhausted([SLOW, DOWN]), 502),
        (Exhausted([BUSY, BUSIER]), 503),
    ],
)
def test_a_failure_has_one_status(failure: Failure, status: int) -> None:
    assert status == status_of(failure)


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (BUSY, 7.0),
        (errors.Crowded("x", 5.0), 5.0),
        (DOWN, None),
        (Exhausted([BUSIER, DOWN, BUSY]), 7.0),
        (Exhausted([DOWN]), None),
        (NO, None),
        (errors.Throttled("hub", "answered 503", 503, 1e12), DAY),
    ],
)
def test_the_shortest_wait_is_told(failure: Failure, seconds: float | None) -> None:
    assert seconds == retry_after(failure)


def test_the_owners_no_is_found_among_others() -> None:
    assert no_of(Exhausted([DOWN, NO])) is NO
    assert no_of(DOWN) is None
