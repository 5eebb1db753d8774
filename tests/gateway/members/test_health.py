"""Whether a source is asked now: penalties that double, one probe at a time, and distrust for lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.errors import Shut
from apprproxy.core.events import Event, SourceOpened, SourceShut
from apprproxy.core.label import Label
from apprproxy.gateway.members import health
from apprproxy.gateway.members.health import FOR_MIRRORS, FOR_OWNERS, Health, Tolerance
from tests.core.laws import law
from tests.fakes.clock import Clock
from tests.fakes.sources import recorder

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
LABEL = Label("hub", "mirror-1")


def reached(case: "Case", about: str) -> None:
    """It has trouble with a repository, though it can be reached."""
    attempt = case.health.admit(about)
    attempt.troubled("answered 502", reached=True)
    attempt.ended()


class Case:
    """A source under these rules, and all that was told of it."""

    def __init__(self, rules: Tolerance) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        self.health = Health(LABEL, rules, self.clock, recorder(self.told))

    def fails(self, reason: str = "no connection") -> None:
        attempt = self.health.admit()
        attempt.troubled(reason)
        attempt.ended()

    def answers(self) -> None:
        attempt = self.health.admit()
        attempt.answered()
        attempt.finished()
        attempt.ended()

    def left(self) -> float:
        """Seconds until it is asked again, 0 for now; asks nothing."""
        try:
            self.health.admit().ended()
        except Shut as shut:
            return shut.retry_after or 0.0
        return 0.0

    def waits(self, failures: int) -> list[float]:
        """How long it is shut after each of so many consecutive failures, each of them as soon as it may be asked."""
        waits = []
        for _ in range(failures):
            self.fails()
            waits.append(self.left())
            self.clock.advance(waits[-1])
        return waits


@pytest.fixture
def mirror() -> Case:
    return Case(FOR_MIRRORS)


@pytest.fixture
def owner() -> Case:
    return Case(FOR_OWNERS)


# --- trouble


def test_a_mirror_is_shut_from_its_first_failure_and_twice_as_long_each_time(mirror: Case) -> None:
    assert [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] == mirror.waits(10)


def test_an_owner_is_shut_from_its_third_failure_and_twice_as_long_each_time(owner: Case) -> None:
    assert [0, 0, 1, 2, 4, 8, 16, 32, 60, 60] == owner.waits(10)


def test_a_thousand_failures_are_no_longer_than_the_longest(owner: Case) -> None:
    assert 60 == owner.waits(2000)[-1]


def test_an_answer_closes_the_circuit_and_forgets_the_count(owner: Case) -> None:
    owner.waits(6)
    owner.answers()

    assert [0, 0, 1] == owner.waits(3)


def test_only_consecutive_failures_count(owner: Case) -> None:
    for _ in range(10):
        owner.fails()
        owner.fails()
        owner.answers()

    assert 0 == owner.left()


def test_headers_alone_do_not_forget_bodies_that_break_off(owner: Case) -> None:
    for _ in range(3):
        attempt = owner.health.admit()
        attempt.answered()
        attempt.troubled("broke off after 3 bytes")
        attempt.finished()
        attempt.ended()

    assert 1 == owner.left()


def test_requests_that_fail_together_are_one_failure(mirror: Case) -> None:
    attempts = [mirror.health.admit() for _ in range(10)]
    for attempt in attempts:
        attempt.troubled("no connection")
        attempt.ended()

    assert 2 == mirror.left()


def test_a_request_counts_once_however_it_fails(owner: Case) -> None:
    attempt = owner.health.admit()
    for _ in range(5):
        attempt.troubled("answered 503")

    assert 0 == owner.left()


def test_whoever_is_not_let_in_is_told_why_and_for_how_long(mirror: Case) -> None:
    mirror.fails("no connection: Connection refused")
    mirror.clock.advance(0.5)
    with pytest.raises(Shut) as refused:
        mirror.health.admit()

    assert "hub mirror-1: is not asked for 2 more seconds: no connection: Connection refused" == str(refused.value)
    assert 1.5 == refused.value.retry_after
    assert refused.value.status is None


def test_nobody_is_told_to_come_back_sooner_than_in_a_second(mirror: Case) -> None:
    mirror.fails()
    mirror.clock.advance(1.8)

    assert 1 == mirror.left()


# --- half-open


def test_after_the_penalty_one_request_is_let_through_as_a_probe(mirror: Case) -> None:
    mirror.fails()
    mirror.clock.advance(2)
    probe = mirror.health.admit()
    others = [mirror.left() for _ in range(5)]
    probe.answered()

    assert [1.0] * 5 == others
    assert 0 == mirror.left()


def test_a_failed_probe_shuts_it_for_longer(mirror: Case) -> None:
    mirror.fails()
    mirror.clock.advance(2)
    mirror.fails()

    assert 4 == mirror.left()


def test_a_probe_that_nobody_waited_for_makes_room_for_the_next(mirror: Case) -> None:
    mirror.fails()
    mirror.clock.advance(2)
    mirror.health.admit().ended()
    probe = mirror.health.admit()
    probe.answered()

    assert 0 == mirror.left()


def test_a_request_of_before_the_penalty_does_not_end_anothers_probe(mirror: Case) -> None:
    early = mirror.health.admit()
    mirror.fails()
    mirror.clock.advance(2)
    mirror.health.admit()
    early.ended()

    assert 1.0 == mirror.left()


def test_an_answer_that_was_under_way_closes_the_circuit_too(mirror: Case) -> None:
    early = mirror.health.admit()
    mirror.fails()
    early.answered()

    assert 0 == mirror.left()


# --- lies


def test_a_lie_distrusts_a_mirror_for_an_hour_and_twice_as_long_each_time(mirror: Case) -> None:
    waits = []
    for _ in range(10):
        mirror.health.lied()
        waits.append(mirror.left() / HOUR)
        mirror.clock.advance(mirror.left())
        mirror.answers()

    assert [1, 2, 4, 8, 16, 32, 64, 128, 168, 168] == waits


def test_an_owner_is_never_distrusted(owner: Case) -> None:
    owner.health.lied()

    assert 0 == owner.left()
    assert [] == owner.told


def test_an_answer_does_not_end_distrust(mirror: Case) -> None:
    early = mirror.health.admit()
    mirror.health.lied()
    early.answered()
    early.finished()

    assert HOUR == mirror.left()


def test_trouble_does_not_shorten_distrust(mirror: Case) -> None:
    early = mirror.health.admit()
    mirror.health.lied()
    early.troubled("stalled")

    assert HOUR == mirror.left()


def test_lies_that_were_under_way_together_are_one(mirror: Case) -> None:
    for _ in range(10):
        mirror.health.lied()

    assert HOUR == mirror.left()


def test_after_distrust_one_request_is_a_probe(mirror: Case) -> None:
    mirror.health.lied()
    mirror.clock.advance(HOUR)
    mirror.health.admit()

    assert 1.0 == mirror.left()


# --- what is told


def test_a_change_is_told_once_and_not_for_every_request(mirror: Case) -> None:
    mirror.waits(5)
    for _ in range(5):
        mirror.answers()

    assert mirror.told == [
        SourceShut("hub", "mirror-1", 2.0, "no connection"),
        SourceOpened("hub", "mirror-1"),
    ]


def test_a_lie_is_told_also_of_a_source_that_fails_already(mirror: Case) -> None:
    mirror.fails()
    mirror.health.lied()

    assert SourceShut("hub", "mirror-1", HOUR, "it sent something wrong", lied=True) == mirror.told[-1]


def test_it_is_told_whether_all_of_a_source_is_not_asked(owner: Case) -> None:
    for number in range(3):
        reached(owner, f"library/app{number}")
    owner.clock.advance(1)
    owner.answers()
    for _ in range(3):
        owner.fails()
    shut = [one for one in owner.told if isinstance(one, SourceShut)]

    assert [True, False] == [one.partly for one in shut]


def test_an_owner_that_fails_twice_is_not_worth_a_line(owner: Case) -> None:
    owner.waits(2)

    assert [] == owner.told


# --- laws


def test_a_clock_that_is_set_back_shuts_nobody_out(owner: Case) -> None:
    owner.waits(2)
    owner.fails()
    owner.clock.advance(-86400)

    assert 0 == owner.left()
    assert SourceOpened("hub", "mirror-1") == owner.told[-1]


def test_a_source_is_not_open_again_before_it_was_shut(owner: Case) -> None:
    owner.waits(3)
    owner.clock.advance(-86400)
    owner.left()
    (opened,) = [event for event in owner.told if isinstance(event, SourceOpened)]

    assert 0 == opened.seconds


def test_a_lie_counts_although_the_clock_was_set_back_since_the_last(mirror: Case) -> None:
    mirror.health.lied()
    mirror.clock.advance(-500)
    mirror.health.lied()

    assert 2 * HOUR == mirror.left()


STEPS = st.lists(st.sampled_from(["ask", "answered", "troubled", "finished", "ended", "lied", "later", "earlier"]))


@law
@given(st.sampled_from([FOR_OWNERS, FOR_MIRRORS]), STEPS, st.data())
def test_whatever_happens_it_is_asked_again(rules: Tolerance, steps: list[str], data: st.DataObject) -> None:
    case, running = Case(rules), []
    for step in steps:
        match step:
            case "ask" if case.left() == 0:
                running.append(case.health.admit())
            case "lied":
                case.health.lied()
            case "later" | "earlier":
                case.clock.advance((1 if step == "later" else -1) * data.draw(st.floats(0, 2 * WEEK)))
            case "answered" | "finished" | "ended" if running:
                getattr(data.draw(st.sampled_from(running)), step)()
            case "troubled" if running:
                data.draw(st.sampled_from(running)).troubled("so it was")
            case _:
                pass
    for attempt in running:
        attempt.ended()
    longest = WEEK if rules.distrust else 60.0

    assert case.left() <= longest
    case.clock.advance(longest)
    assert 0 == case.left()


@law
@given(
    st.sampled_from([FOR_OWNERS, FOR_MIRRORS]), st.lists(st.sampled_from(["fails", "answers", "wait", "lies", "back"]))
)
def test_what_was_told_last_is_true(rules: Tolerance, steps: list[str]) -> None:
    case = Case(rules)
    for step in steps:
        if step == "wait":
            case.clock.advance(case.left())
        elif step == "back":
            case.clock.advance(-10 * HOUR)
        elif step == "lies":
            case.health.lied()
        elif case.left() == 0:
            getattr(case, step)()
    last = case.told[-1] if case.told else None

    assert case.left() == 0 or isinstance(last, SourceShut)
    assert case.told.count(SourceOpened("hub", "mirror-1")) <= sum(isinstance(one, SourceShut) for one in case.told)


# --- trouble with one repository


def test_trouble_with_one_repository_shuts_that_and_no_other(owner: Case) -> None:
    for _ in range(3):
        reached(owner, "broken/app")

    with pytest.raises(Shut):
        owner.health.admit("broken/app")
    owner.health.admit("library/app").ended()


def test_trouble_with_one_repository_after_the_other_is_the_sources(owner: Case) -> None:
    for about in ("a/app", "b/app", "c/app"):
        reached(owner, about)

    with pytest.raises(Shut):
        owner.health.admit("library/app")


def test_trouble_with_one_filter_of_a_list_after_the_other_is_not_the_sources(owner: Case) -> None:
    for filtered in range(5):
        reached(owner, f"_packages?namespace=n{filtered}")
    owner.health.admit("_packages")
    owner.health.admit("alice/web")

    assert [] == owner.told


def test_what_succeeds_in_between_says_that_it_is_not_the_source(owner: Case) -> None:
    for about in ("a/app", "b/app", "c/app", "d/app", "e/app"):
        reached(owner, about)
        owner.answers()

    assert 0 == owner.left()


def test_after_a_success_the_same_repositories_count_again(owner: Case) -> None:
    for about in ("a/app", "b/app"):
        reached(owner, about)
    owner.answers()
    for about in ("a/app", "b/app", "c/app"):
        reached(owner, about)

    with pytest.raises(Shut):
        owner.health.admit("library/app")


def test_no_probe_of_a_broken_repository_keeps_others_from_looking_whether_the_source_is_back(owner: Case) -> None:
    for about in ("a/app", "b/app", "c/app"):
        reached(owner, about)
    owner.clock.advance(1)
    probe = owner.health.admit("a/app")
    with pytest.raises(Shut):
        owner.health.admit("a/app")
    other = owner.health.admit("library/app")
    probe.troubled("answered 502", reached=True)
    probe.ended()

    assert 0 == owner.left(), "it was known that a/app is broken"
    other.answered()
    assert [SourceOpened] == [type(event) for event in owner.told[1:]]


def test_what_a_source_says_of_itself_shuts_no_more_than_what_it_says_it_of(owner: Case) -> None:
    for number in range(20):
        attempt = owner.health.admit(f"{number % 6}/app")
        attempt.away("answered 504")
        attempt.ended()
        if number == 17:
            break

    with pytest.raises(Shut):
        owner.health.admit("0/app")
    owner.health.admit("library/app").ended()


def test_what_keeps_silent_counts_whatever_it_said_before(owner: Case) -> None:
    for about in ("a/app", "b/app", "c/app"):
        attempt = owner.health.admit(about)
        attempt.away("answered 503")
        attempt.ended()
    assert not owner.health.doubtful
    for about in ("a/app", "b/app", "c/app"):
        reached(owner, about)

    assert owner.health.doubtful


@pytest.mark.parametrize("said", [True, False], ids=["a status", "silence"])
def test_names_that_are_made_up_are_counted_within_bounds(owner: Case, said: bool) -> None:
    attempts = [owner.health.admit(f"{number}/app") for number in range(3000)]
    for attempt in attempts:
        attempt.away("answered 502") if said else attempt.troubled("no answer", reached=True)
        attempt.ended()

    assert len(owner.health._counted) <= 1000


def test_a_repository_that_answered_lately_is_asked_although_others_fail(owner: Case) -> None:
    """Of made-up names there are as many as a client likes."""
    attempt = owner.health.admit("library/app")
    attempt.answered()
    attempt.finished()
    attempt.ended()
    for about in ("a/app", "b/app", "c/app"):
        reached(owner, about)
    with pytest.raises(Shut):
        owner.health.admit("d/app")
    reached(owner, "library/app")

    with pytest.raises(Shut):
        owner.health.admit("library/app")


def test_of_a_source_that_cannot_be_reached_one_probe_tells_for_all(owner: Case) -> None:
    owner.waits(3)
    owner.health.admit("a/app")

    with pytest.raises(Shut):
        owner.health.admit("b/app")


def test_a_repository_that_answers_is_open_before_its_body_has_come(owner: Case) -> None:
    for _ in range(3):
        reached(owner, "broken/app")
    owner.clock.advance(1)
    owner.health.admit("broken/app").answered()

    owner.health.admit("broken/app")
    owner.health.admit("broken/app")


def test_of_repositories_that_fail_the_one_that_did_last_is_remembered_longest(
    owner: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_SPOTS", 2)
    for about in ("a/app", "b/app", "a/app", "a/app", "c/app"):
        reached(owner, about)
        owner.answers()

    with pytest.raises(Shut):
        owner.health.admit("a/app")


def test_repositories_that_fail_are_remembered_within_bounds(owner: Case) -> None:
    for number in range(3000):
        reached(owner, f"{number}/app")
        owner.answers()

    assert len(owner.health._spots) <= 1000


def test_of_a_mirror_any_trouble_is_that_of_all_it_has(mirror: Case) -> None:
    reached(mirror, "broken/app")

    with pytest.raises(Shut):
        mirror.health.admit("library/app")


def test_it_is_doubtful_whether_what_was_shut_is_back_and_nothing_else_is() -> None:
    case = Case(FOR_OWNERS)
    good = case.health.admit("good")
    good.answered()
    good.finished()
    for _ in range(3):
        reached(case, "bad")
    case.clock.advance(HOUR)
    one = [case.health.doubts(about) for about in ("bad", "good", "new")]
    for about in ("worse", "worst"):
        attempt = case.health.admit(about)
        attempt.troubled("no answer in time", reached=True)
    all_new = [case.health.doubts(about) for about in ("bad", "good", "new")]

    assert ([True, False, False], [True, False, True]) == (one, all_new)
