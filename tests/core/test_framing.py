"""What stands around chunks is counted where there is much of it, and waited for."""

import pytest

from apprproxy.core.framing import AT_ONCE, LITTLE, LONGEST, RATE, Framing


def test_what_is_brought_beyond_what_may_come_at_once_is_waited_for() -> None:
    framing = Framing()

    assert 0 == framing.rest(AT_ONCE, 0, now=100)
    assert pytest.approx(1) == framing.rest(RATE, 0, now=100)
    assert pytest.approx(1) == framing.rest(RATE, 0, now=101)
    assert 0 == framing.rest(AT_ONCE, 0, now=200), "and a quiet time saves nothing up"
    assert 0 < framing.rest(AT_ONCE, 0, now=200)


def test_a_little_framing_is_not_counted() -> None:
    framing = Framing()

    assert {0.0} == {framing.rest(LITTLE, LITTLE - 1, now=100) for _ in range(AT_ONCE)}
    assert 0 == framing.rest(0, 5, now=100), "what had been put by comes without anything new"
    assert 0 == framing.rest(AT_ONCE, 0, now=100)


def test_nobody_waits_for_what_others_brought_in_hours() -> None:
    framing = Framing()
    for _ in range(1000):
        framing.rest(RATE, 0, now=100)

    assert pytest.approx(LONGEST) == framing.rest(RATE, 0, now=100)
