"""Of an outage the log has its beginning, now and then how it goes on, and its end; not a line a request."""

import json
from typing import Any

import pytest

from apprproxy.core.events import Asked, CredentialRefused, Trouble
from apprproxy.ops.episodes import Episodes
from apprproxy.ops.journal import Journal
from tests.fakes.clock import Clock
from tests.fakes.fixtures import Logged


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(clock)


def trouble(reason: str, upstream: str = "hub") -> Trouble:
    return Trouble("lookup", upstream, "library/app:1.0", reason)


def answer(upstream: str = "hub", source: str = "owner", status: str = "200") -> Asked:
    return Asked(upstream, source, "manifest", status, 0.1, 42, 0.1)


def lines(logged: Logged) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.text.splitlines()]


def test_a_hundred_requests_in_trouble_are_one_line_a_minute(journal: Journal, clock: Clock, logged: Logged) -> None:
    for number in range(100):
        journal(trouble(f"broke off after {number} bytes"))
        clock.advance(1)
    told = [(line.get("times", 1), line.get("since")) for line in lines(logged)]

    assert [1, 61] == [times for times, _ in told]
    assert told[1][1] is not None


def test_each_line_of_a_long_outage_says_since_when_though_its_upstream_was_asked_once_since_the_last(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    for _ in range(3):
        journal(trouble("no connection"))
        clock.advance(65)

    assert [(None, None), (2, "2027-01-15T08:00:00Z"), (3, "2027-01-15T08:00:00Z")] == [
        (line.get("times"), line.get("since")) for line in lines(logged)
    ]


def test_another_reason_or_another_upstream_is_told_at_once(journal: Journal, logged: Logged) -> None:
    for event in (trouble("answered 502"), trouble("sent nothing in time"), trouble("answered 502", "quay")):
        journal(event)
        journal(event)

    assert 3 == len(lines(logged))


def test_another_status_is_another_trouble(journal: Journal, logged: Logged) -> None:
    for status in (429, 503, 429, 503):
        journal(trouble(f"answered {status}, to come back in {status} s"))

    assert ["answered 429, to come back in 429 s", "answered 503, to come back in 503 s"] == [
        line["reason"] for line in lines(logged)
    ]


def test_that_it_is_over_is_told_once_it_has_not_happened_for_a_while(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    for _ in range(7):
        journal(trouble("answered 502"))
        journal(answer())
        clock.advance(1)
    clock.advance(60)
    for other in (answer("quay"), answer(source="mirror-1"), answer(status="502")):
        journal(other)
    still = len(lines(logged))
    journal(answer())
    journal(answer())
    over = lines(logged)[still:]

    assert (1, 1) == (still, len(over))
    assert ("upstream trouble is over", "hub", 7) == (over[0]["event"], over[0]["upstream"], over[0]["times"])
    assert over[0]["since"] < over[0]["until"]


def test_trouble_lasts_until_the_upstream_answers_again(journal: Journal, clock: Clock, logged: Logged) -> None:
    journal(trouble("answered 502"))
    clock.advance(40)
    for _ in range(3):
        journal(answer())
        clock.advance(5)
    *_, over = lines(logged)

    assert ("2027-01-15T08:00:00Z", "2027-01-15T08:00:40Z") == (over["since"], over["until"])


def test_an_outage_with_several_reasons_is_over_once(journal: Journal, clock: Clock, logged: Logged) -> None:
    for _ in range(3):
        journal(trouble("no connection: Connection refused"))
        clock.advance(1)
    journal(trouble("answered 503"))
    for _ in range(20):
        clock.advance(1)
        journal(answer())
    over = [line for line in lines(logged) if "over" in line["event"]]

    assert [("no connection: Connection refused; answered 503", 4, "2027-01-15T08:00:04Z")] == [
        (line["reason"], line["times"], line["until"]) for line in over
    ]


def test_a_name_that_fails_all_the_time_does_not_hide_the_end_of_an_outage(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    journal(trouble("no connection: Connection refused"))
    for _ in range(70):
        journal(trouble("answered 500"))
        clock.advance(1)
        journal(answer())
    over = [line for line in lines(logged) if "over" in line["event"]]

    assert [("no connection: Connection refused", "2027-01-15T08:00:01Z")] == [
        (line["reason"], line["until"]) for line in over
    ]


def test_what_is_not_over_is_told_when_the_log_ends(journal: Journal, clock: Clock, logged: Logged) -> None:
    for _ in range(3):
        journal(trouble("answered 429, to come back in 5 s"))
        clock.advance(5)
    clock.advance(60)
    journal.end()
    *_, last = lines(logged)

    assert ("trouble is not over", "hub", "upstream trouble", 3) == tuple(
        last[key] for key in ("event", "upstream", "was", "times")
    )
    assert ("2027-01-15T08:00:00Z", "2027-01-15T08:00:10Z") == (last["since"], last["last"])


def test_a_credential_that_is_refused_again_and_again_is_one_line(journal: Journal, logged: Logged) -> None:
    for _ in range(50):
        journal(CredentialRefused("hub", 401))

    assert [("error", 401)] == [(line["level"], line["status"]) for line in lines(logged)]


def test_a_clock_that_is_set_back_silences_nothing_for_longer(journal: Journal, clock: Clock, logged: Logged) -> None:
    journal(trouble("answered 502"))
    clock.advance(-86_400)
    journal(trouble("answered 502"))

    assert 2 == len(lines(logged))


def test_a_clock_that_is_set_back_keeps_no_trouble_from_being_over(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    journal(trouble("answered 502"))
    clock.advance(-86_400)
    journal(answer())

    assert "upstream trouble is over" == lines(logged)[-1]["event"]


def test_what_is_remembered_is_bounded() -> None:
    episodes = Episodes()
    for number in range(5000):
        episodes.again("upstream trouble", f"up{number}", "answered 502", 0.0)

    assert len(episodes._open) <= 1000


def test_an_upstream_that_gives_ever_new_reasons_has_a_few_lines_and_leaves_others_theirs(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    journal(trouble("no connection: Connection refused", "quay"))
    for number in range(2000):
        journal(trouble(f"a redirect to {'abcdefghij'[number % 10]}{number // 10 * 'x'} carries a user name"))
    journal(trouble("no connection: Connection refused", "quay"))
    told = [line["upstream"] for line in lines(logged)]
    clock.advance(11)
    journal(answer("hub"))
    journal(answer("quay"))
    over = [line for line in lines(logged) if "over" in line["event"]]

    assert ["quay", *["hub"] * 21] == told
    assert [("hub", 2000), ("quay", 2)] == [(line["upstream"], line["times"]) for line in over]
    assert over[0]["reason"].endswith("; other reasons")


def test_trouble_with_bytes_is_over_once_such_bytes_have_come(journal: Journal, clock: Clock, logged: Logged) -> None:
    journal(Trouble("bytes", "hub", "library/app@sha256:00", "answered 500", kind="blob"))
    told = []
    answers = (("tag", 42), ("manifest", 0), ("manifest", 42), ("blob", 0), ("blob", -42), ("blob", 42))
    for kind, received in answers:
        clock.advance(60)
        journal(Asked("hub", "owner", kind, "200", 0.1, abs(received), 0.1, whole=received >= 0))
        told.append([line["event"] for line in lines(logged)].count("upstream trouble is over"))

    assert [0, 0, 0, 0, 0, 1] == told
