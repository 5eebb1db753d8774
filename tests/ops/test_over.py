"""`upstream trouble is over` is said of trouble that an answer of the upstream says something about."""

import json

import pytest

from apprproxy.core.events import Asked, Trouble, Troubled
from apprproxy.ops.journal import Journal
from tests.fakes.clock import Clock
from tests.fakes.fixtures import Logged


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(clock)


def answer(kind: str = "manifest") -> Asked:
    return Asked("hub", "owner", kind, "200", 0.1, 42, 0.1)


def events(logged: Logged) -> list[str]:
    return [str(json.loads(line)["event"]) for line in logged.text.splitlines()]


@pytest.mark.parametrize("what", ["lock file", "credential", "keep", "index", "names", "search"])
def test_no_answer_of_an_upstream_mends_a_file_or_a_disk_of_ours(
    journal: Journal, clock: Clock, logged: Logged, what: Troubled
) -> None:
    journal(Trouble(what, "hub", "x", "it is wrong, and stays so"))
    clock.advance(11)
    journal(answer())

    assert "upstream trouble is over" not in events(logged)


def test_a_full_disk_is_not_over_and_back_each_half_minute(journal: Journal, clock: Clock, logged: Logged) -> None:
    for second in range(600):
        if second % 30 == 0:
            journal(Trouble("keep", "hub", "x", "the cache's disk is full"))
        journal(answer())
        clock.advance(1)

    assert 10 >= len(events(logged))


def test_a_token_server_that_answers_is_not_the_registry(journal: Journal, clock: Clock, logged: Logged) -> None:
    """Docker Hub has them on two hosts: a token is asked for every five minutes, and comes."""
    for second in range(0, 1200, 30):
        if second % 300 == 0:
            journal(answer("token"))
        journal(Trouble("lookup", "hub", "library/app:1.0", "answered 503"))
        clock.advance(30)

    assert "upstream trouble is over" not in events(logged)


def test_what_happened_once_and_is_of_no_upstream_is_not_open_for_ever(
    journal: Journal, clock: Clock, logged: Logged
) -> None:
    journal(Trouble("index", "", "what was set aside of it", "removed, for the disk is full"))
    for _ in range(100):
        clock.advance(3600)
        journal(answer())
    journal.end()

    assert "trouble is not over" not in events(logged)


def test_what_is_over_is_told_from_what_goes_on(journal: Journal, clock: Clock, logged: Logged) -> None:
    """Tags come again and blobs do not: whoever reads that it is over must not believe it of both."""
    journal(Trouble("lookup", "hub", "library/app:1.0", "answered 503"))
    journal(Trouble("bytes", "hub", "library/app@sha256:00", "answered 503", kind="blob"))
    journal(Trouble("bytes", "hub", "library/app@sha256:01", "answered 503", kind="manifest"))
    clock.advance(11)
    for kind in ("tags", "manifest", "blob"):
        journal(answer(kind))

    told = [json.loads(line) for line in logged.text.splitlines()]

    assert [
        ("upstream trouble", None),
        ("upstream trouble", "blob"),
        ("upstream trouble", "manifest"),
        ("upstream trouble is over", None),
        ("upstream trouble is over", "manifest"),
        ("upstream trouble is over", "blob"),
    ] == [(line["event"], line.get("kind")) for line in told]
