"""Whoever asks for much of a thread that all share has its turn among the others, and no more than that."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial

import pytest

from apprproxy.store.rounds import LONGEST, PAUSE, Pauses, Rounds, Steps

SHORT = 2**-7
"""Seconds."""


class Passing:
    """Of time there is what a step takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Work:
    """What was done, in its order; nothing before ``go``. Each step of somebody ``takes`` so many seconds."""

    def __init__(self, rounds: Rounds, passing: Passing | None = None, **takes: float) -> None:
        self.done: list[str] = []
        self._rounds = rounds
        self._passing, self._takes = passing or Passing(), takes
        self._wait()

    def _wait(self) -> None:
        self._go = threading.Event()
        self._rounds.of("").submit(self._go.wait, 10)

    def asked(self, whom: str, steps: int = 1) -> Future[str]:
        return self._rounds.submit(whom, self._steps(whom, steps))

    def _steps(self, whom: str, steps: int) -> Steps[str]:
        for _ in range(steps - 1):
            self._step(whom)
            yield
        self._step(whom)
        return whom

    def _step(self, whom: str) -> None:
        self.done.append(whom)
        self._passing.seconds += self._takes.get(whom, 0)

    def once(self, asked: Future[str]) -> None:
        """That has been done, nothing else is before ``go``."""
        self._go.set()
        asked.result(10)
        self._wait()

    def go(self) -> str:
        self._go.set()
        self._rounds.shutdown()
        return "".join(self.done)


@pytest.fixture
def passing() -> Passing:
    return Passing()


@pytest.fixture
def rounds(passing: Passing) -> Iterator[Rounds]:
    rounds = Rounds(1, "test", passing)
    yield rounds
    rounds.shutdown()


def test_one_that_comes_late_does_not_wait_for_all_that_another_asked_for_before(rounds: Rounds) -> None:
    work = Work(rounds)
    for whom in "aaaabbc":
        work.asked(whom)

    assert "abcabaa" == work.go()


def test_between_two_steps_come_all_others(rounds: Rounds) -> None:
    work = Work(rounds)
    work.asked("a", steps=4)
    last = work.asked("a")
    work.asked("b")

    assert "abaaaa" == work.go(), "those of the same upstream as well"
    assert last.done()


def test_who_has_had_least_of_the_time_is_next(rounds: Rounds, passing: Passing) -> None:
    """Five rows of one are as much as five hundred of another, whose steps would take all of the time but a little."""
    work = Work(rounds, passing, a=5 * SHORT, b=SHORT)
    for _ in range(2):
        work.asked("a", steps=2)
    for _ in range(12):
        work.asked("b")

    assert "abbbbbabbbbbabba" == work.go()


def test_who_had_to_wait_for_the_disk_has_not_had_that_time(rounds: Rounds, passing: Passing) -> None:
    work = Work(rounds, passing, a=30, b=LONGEST)
    for _ in range(4):
        work.asked("a")
        work.asked("b")

    assert "abababab" == work.go()


def test_who_asked_for_nothing_saves_up_no_time(rounds: Rounds, passing: Passing) -> None:
    work = Work(rounds, passing, a=SHORT, b=SHORT)
    work.once(work.asked("a", steps=50))
    for whom in "aaabbb":
        work.asked(whom)

    assert f"{'a' * 50}bababa" == work.go()


def test_of_one_upstream_who_comes_first_is_served_first(rounds: Rounds) -> None:
    work, order = Work(rounds), list[int]()
    for number in range(20):
        rounds.of("a").submit(order.append, number)
    work.go()

    assert [*range(20)] == order


def test_it_is_time_that_somebody_has_had() -> None:
    """As the clock says that nobody gave: by one that stood still it would be turns."""
    rounds, order = Rounds(1, "test"), list[str]()
    work = Work(rounds)
    for _ in range(2):
        rounds.submit("a", _slow(order))
    for _ in range(3):
        rounds.of("b").submit(order.append, "b")
    work.go()

    assert ["a", "b", "b", "b", "a"] == order


def _slow(order: list[str]) -> Steps[None]:
    order.append("a")
    time.sleep(0.1)
    yield from ()


def test_what_was_asked_for_is_done_whole_when_it_is_shut_down(rounds: Rounds) -> None:
    work = Work(rounds)
    asked = [work.asked(whom, steps=3) for whom in "abab"]

    assert 12 == len(work.go())
    assert ["a", "b", "a", "b"] == [one.result(0) for one in asked]
    with pytest.raises(RuntimeError):
        work.asked("a")


def test_two_threads_do_all_of_it() -> None:
    rounds = Rounds(2, "test")
    work = Work(rounds)
    asked = [work.asked(whom, steps) for whom in "abc" for steps in (1, 50, 7)]

    assert 3 * 58 == len(work.go())
    assert all(one.done() for one in asked)


def test_what_nobody_waits_for_any_more_is_not_begun_and_is_ended_once_it_was(rounds: Rounds) -> None:
    work = Work(rounds)
    early, late = work.asked("a"), Future[None]()

    def begun() -> Steps[None]:
        late.set_result(None)
        yield
        work.done.append("ended")

    going = rounds.submit("b", begun())
    late.add_done_callback(lambda _: going.cancel())
    early.cancel()

    assert "ended" == work.go()
    assert (True, False) == (early.cancelled(), going.cancelled())


def test_a_failure_is_its_askers_alone(rounds: Rounds) -> None:
    asked = [rounds.of("a").submit(partial(int, word)) for word in ("1", "no", "2")]

    assert (1, 2) == (asked[0].result(10), asked[2].result(10))
    with pytest.raises(ValueError, match="no"):
        asked[1].result(10)


def test_after_each_piece_others_have_as_long_as_it_took_but_not_without_end() -> None:
    passing, told = Passing(), list[float]()
    pause = Pauses(passing)
    for took in (SHORT, 60.0, SHORT):
        told.append(pause.seconds)
        with pause.after():
            passing.seconds += took

    assert [0.0, SHORT, PAUSE, SHORT] == [*told, pause.seconds]
