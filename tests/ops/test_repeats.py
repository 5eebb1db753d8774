"""What a busy night repeats is a line now and again that says how much it was."""

import json
from typing import Any

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.events import (
    Asked,
    Event,
    Evicted,
    LieCaught,
    NameMoved,
    NotConnected,
    NotHttp,
    SetAside,
    SourceOpened,
    SourceShut,
    Trouble,
    Troubled,
)
from apprproxy.ops.journal import Journal
from apprproxy.ops.telling import FEW, HOUR, MINUTE
from tests.fakes.clock import Clock
from tests.fakes.fixtures import Logged

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(clock)


def lines(logged: Logged) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logged.text.splitlines()]


def test_a_cache_that_is_full_is_a_line_an_hour(journal: Journal, clock: Clock, logged: Logged) -> None:
    for _ in range(361):
        journal(Evicted(2, 700))
        clock.advance(10)
    first, second = lines(logged)

    assert (2, 700, None) == (first["blobs"], first["bytes"], first.get("times"))
    assert (720, 252_000, 360) == (second["blobs"], second["bytes"], second["times"])
    assert "2027-01-15T08:00:10Z" == second["since"]


@pytest.mark.parametrize(
    "event",
    [
        LieCaught("hub", "owner", ONE, OTHER),
        LieCaught("hub", "owner", ONE, None, "sent 3 bytes where 4 are due"),
        Asked("hub", "owner", "manifest", "200", 2.0, 42, 1.5),
        Evicted(1, 10, "disk"),
    ],
    ids=["lie", "wrong answer", "slow", "full disk"],
)
def test_what_happens_again_and_again_is_a_line_a_minute(
    journal: Journal, clock: Clock, logged: Logged, event: Event
) -> None:
    for _ in range(61):
        journal(event)
        clock.advance(1)

    assert [1, 60] == [line.get("times", 1) for line in lines(logged)]


def test_what_another_source_does_is_told_at_once(journal: Journal, logged: Logged) -> None:
    for source in ("owner", "mirror-1"):
        for kind in ("manifest", "blob"):
            journal(Asked("hub", source, kind, "200", 2.0, 42, 1.5))
        journal(LieCaught("hub", source, ONE, OTHER))

    assert 6 == len(lines(logged))
    assert {200, None} == {line.get("status") for line in lines(logged)}


def test_wrong_bytes_that_nobody_makes_good_are_told_at_once(journal: Journal, logged: Logged) -> None:
    for instead in ("hub mirror-2", "hub mirror-2", "", ""):
        journal(LieCaught("hub", "mirror-1", ONE, OTHER, repository="library/app", instead=instead))

    assert ["warning", "error"] == [line["level"] for line in lines(logged)]


def test_a_clock_that_is_set_back_silences_nothing(journal: Journal, clock: Clock, logged: Logged) -> None:
    journal(Evicted(1, 10))
    clock.advance(-HOUR)
    journal(Evicted(1, 10))
    clock.advance(MINUTE)
    journal(Evicted(1, 10))

    assert 2 == len(lines(logged))


def test_what_happened_meanwhile_is_told_without_happening_again(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    for size in (10, 20, 30):
        journal(Evicted(1, size))
        clock.advance(1)
    journal.remind()
    early = len(lines(logged))
    clock.advance(HOUR)
    journal.remind()
    journal.remind()
    _, later = lines(logged)

    assert 1 == early
    assert (2, 50, 2) == (later["blobs"], later["bytes"], later["times"])
    assert "2027-01-15T08:00:01Z" == later["since"]


def test_a_log_that_ends_owes_nothing(journal: Journal, clock: Clock, logged: Logged) -> None:
    for number in range(3):
        journal(LieCaught("hub", "owner", ONE, OTHER))
        journal(Evicted(1, number))
    clock.advance(1)
    journal.end()
    told = lines(logged)[2:]

    assert {("wrong bytes refused", 2), ("evicted to stay below cache.max_size", 2)} == {
        (line["event"], line["times"]) for line in told
    }
    assert [str(OTHER), 3] == [told[0]["got"], told[1]["bytes"]]


def test_how_many_connections_were_closed_is_told_though_no_more_come(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    for because in ("connections", "files"):
        for _ in range(5000):
            journal(NotConnected(because))
    clock.advance(MINUTE)
    journal.remind()

    assert 5000 == sum(line.get("closed", 0) for line in lines(logged))
    assert 5000 == sum(line.get("failed", 0) for line in lines(logged))


MOVED = "a release moved; its first digest stands"


@pytest.mark.parametrize(("followed", "event"), [(False, MOVED), (True, "a name moved and was followed")])
def test_of_thousands_that_move_at_once_the_first_few_have_a_line_each_and_the_others_one(
    journal: Journal, clock: Clock, logged: Logged, followed: bool, event: str
) -> None:
    for number in range(5000):
        journal(NameMoved("quay", f"a/b@1.0.{number}/helm", ONE, OTHER, followed))
    at_once = lines(logged)
    clock.advance(MINUTE)
    journal.remind()
    later = lines(logged)[FEW:]

    assert [f"a/b@1.0.{number}/helm" for number in range(FEW)] == [line["name"] for line in at_once]
    assert [(event, 4990, "a/b@1.0.4999/helm")] == [(line["event"], line["times"], line["name"]) for line in later]
    assert [followed] == ["names list --moved" not in line.get("hint", "") for line in later]


def test_what_moves_again_at_each_refresh_is_a_line_a_minute(journal: Journal, clock: Clock, logged: Logged) -> None:
    for second in range(301):
        journal(NameMoved("quay", "a/b@1.0.0/helm", ONE, Digest.of(bytes(second)), followed=False))
        clock.advance(1)
        journal.remind()

    assert [1, 59, 60, 60, 60, 60] == [line.get("times", 1) for line in lines(logged)]


def test_what_had_its_line_takes_none_from_what_has_not(journal: Journal, logged: Logged) -> None:
    for number in range(FEW):
        for _ in range(3):
            journal(NameMoved("quay", f"a/b@1.0.{number}/helm", ONE, OTHER, followed=False))
    names = [line["name"] for line in lines(logged)]

    assert [f"a/b@1.0.{number}/helm" for number in range(FEW)] == names


def test_what_moves_of_another_upstream_is_told_at_once(journal: Journal, logged: Logged) -> None:
    for number in range(FEW + 1):
        journal(NameMoved("quay", f"a/b@1.0.{number}/helm", ONE, OTHER, followed=False))
    journal(NameMoved("hub", "a/b@1.0.0/helm", ONE, OTHER, followed=False))

    assert ["quay"] * FEW + ["hub"] == [line["upstream"] for line in lines(logged)]


SHUT, OPENED = "a source fails and is not asked for a while", "a source answers again"
LIED = "a mirror lied and is distrusted"


def told(logged: Logged) -> list[tuple[str, int]]:
    return [(line["event"], line.get("times", 1)) for line in lines(logged)]


@pytest.mark.parametrize(("changes", "last"), [(24, OPENED), (23, SHUT)])
def test_a_source_that_flaps_is_told_once_a_minute_with_how_it_stands(
    journal: Journal, clock: Clock, logged: Logged, changes: int, last: str
) -> None:
    for number in range(changes):
        journal(SourceOpened("hub", "owner", 1.25) if number % 2 else SourceShut("hub", "owner", 1.0, "answered 503"))
        clock.advance(1)
        journal.remind()
    at_once = told(logged)
    clock.advance(MINUTE)
    journal.remind()
    journal.remind()

    assert [(SHUT, 1), (OPENED, 1)] == at_once
    assert [(last, changes - 2)] == told(logged)[2:]
    assert ({"hub"}, {"owner"}) == (
        {one["upstream"] for one in lines(logged)},
        {one["source"] for one in lines(logged)},
    )


def test_a_source_that_is_shut_for_long_is_told_of_at_once_each_time(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    for event in (SourceShut("hub", "owner", 60.0, "no connection"), SourceOpened("hub", "owner", 120.0)) * 3:
        journal(event)
        clock.advance(2 * MINUTE)
        journal.remind()

    assert [(SHUT, 1), (OPENED, 1)] * 3 == told(logged)
    assert [60.0, 120.0] * 3 == [line.get("wait", line.get("after")) for line in lines(logged)]


def test_a_source_that_flaps_hides_no_other_and_no_lie(journal: Journal, logged: Logged) -> None:
    for _ in range(3):
        journal(SourceShut("hub", "mirror-1", 1.0, "answered 503"))
        journal(SourceOpened("hub", "mirror-1"))
    journal(SourceShut("hub", "mirror-2", 1.0, "answered 503"))
    journal(SourceShut("hub", "mirror-1", HOUR, "it sent something wrong", lied=True))

    assert ["mirror-1", "mirror-1", "mirror-2", "mirror-1"] == [line["source"] for line in lines(logged)]
    assert (LIED, 5) == told(logged)[-1]


def test_a_log_that_ends_says_how_each_source_stands(journal: Journal, logged: Logged) -> None:
    for _ in range(2):
        journal(SourceShut("hub", "owner", 1.0, "answered 503"))
        journal(SourceOpened("hub", "owner"))
    journal(SourceShut("hub", "owner", 1.0, "answered 503"))
    journal.end()
    journal.end()

    assert [(SHUT, 1), (OPENED, 1), (SHUT, 3)] == told(logged)


def test_broken_files_are_a_line_a_minute_with_the_last_and_how_many(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    """A disk that goes bad, or a copy that ran over the folder, may have broken all of them."""
    for number in range(400):
        journal(SetAside("blob", f"/cache/quarantine/{number}", "it has 0 bytes, and 10 were kept"))
    clock.advance(MINUTE)
    journal.remind()

    assert [("/cache/quarantine/0", 1), ("/cache/quarantine/399", 399)] == [
        (line["path"], line.get("times", 1)) for line in lines(logged)
    ]
    assert {"error"} == {line["level"] for line in lines(logged)}


def test_a_database_that_was_set_aside_is_told_each_time(journal: Journal, logged: Logged) -> None:
    for what in ("index", "names", "index"):
        journal(SetAside(what, f"/cache/{what}.broken", "malformed"))

    assert ["index", "names", "index"] == [line["what"] for line in lines(logged)]


def test_malformed_requests_are_told_for_each_reason_that_is_no_quotation(journal: Journal, logged: Logged) -> None:
    for reason, quoted in (("one", False), ("one", False), ("other", False), ("a", True), ("b", True)):
        journal(NotHttp(reason, 400, "10.0.0.1", quoted))
    journal.end()
    told = [(line["reason"], line.get("times", 1)) for line in lines(logged)]

    assert [("one", 1), ("other", 1), ("a", 1), ("one", 1), ("b", 1)] == told


def test_what_happens_after_the_end_is_told_at_the_next(journal: Journal, clock: Clock, logged: Logged) -> None:
    """Pulls go on for a while when it has been told to stop."""
    lie = LieCaught("hub", "owner", ONE, OTHER, repository="library/app")
    journal(Trouble("lookup", "hub", "library/app:1", "answered 503"))
    journal.end()
    clock.advance(1)
    for _ in range(5):
        journal(lie)
    journal(Trouble("lookup", "quay", "a/b:1", "answered 500"))
    journal.end()
    journal.end()
    told = [(line["event"], line["upstream"]) for line in lines(logged)]

    assert [("trouble is not over", "hub"), ("trouble is not over", "quay")] == [
        one for one in told if one[0] == "trouble is not over"
    ]
    assert 5 == sum(line.get("times", 1) for line in lines(logged) if line["event"] == "wrong bytes refused")


@pytest.mark.parametrize("what", ["index", "names", "files"])
def test_what_is_wrong_for_all_upstreams_is_told_once_a_minute_whoever_met_it(
    journal: Journal, clock: Clock, logged: Logged, what: Troubled
) -> None:
    for second in range(120):
        journal(Trouble(what, f"hub-{second % 7}", "x", "disk I/O error"))
        clock.advance(1)
    told = [(line["upstream"], line.get("times", 1)) for line in lines(logged)]

    assert [("hub-0", 1), ("hub-4", 60)] == told


def test_what_could_not_be_kept_is_told_of_each_upstream(journal: Journal, logged: Logged) -> None:
    for name in ("hub", "quay"):
        journal(Trouble("keep", name, "x", "the cache's disk is full"))

    assert ["hub", "quay"] == [line["upstream"] for line in lines(logged)]
