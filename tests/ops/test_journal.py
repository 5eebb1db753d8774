"""What an operator may have to act on stands in the log."""

import json
import shlex
from typing import get_args

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.events import Evicted, NameMoved, SetAside, SourceShut, Trouble, Troubled
from apprproxy.ops.journal import Journal
from tests.fakes.fixtures import Logged


def test_an_eviction_is_logged_with_what_went(logged: Logged) -> None:
    Journal()(Evicted(3, 700))
    line = json.loads(logged.text)

    assert ("info", 3, 700) == (line["level"], line["blobs"], line["bytes"])
    assert "cache.max_size" in line["event"]


def test_an_eviction_from_a_full_disk_is_not_put_down_to_the_cap(logged: Logged) -> None:
    Journal()(Evicted(3, 700, "disk"))
    line = json.loads(logged.text)

    assert ("warning", "evicted because the cache's disk is full") == (line["level"], line["event"])


def test_a_file_that_was_set_aside_is_logged_with_where_it_is(logged: Logged) -> None:
    Journal()(SetAside("index", "/cache/index.db.broken-1", "malformed"))
    line = json.loads(logged.text)

    assert ("error", "/cache/index.db.broken-1") == (line["level"], line["path"])


@pytest.mark.parametrize("followed", [True, False])
def test_a_release_that_moved_is_told_with_how_it_is_accepted(logged: Logged, followed: bool) -> None:
    Journal()(NameMoved("quay", "alice/nginx@1.0.0/helm", Digest.of(b"one"), Digest.of(b"other"), followed))
    line = json.loads(logged.text)

    assert followed == ("apprproxy names accept quay/alice/nginx@1.0.0/helm" not in line.get("hint", ""))
    assert (str(Digest.of(b"one")), str(Digest.of(b"other"))) == (line["first"], line["now"])


def test_a_source_of_which_some_is_asked_all_the_same_is_told_with_that(logged: Logged) -> None:
    for partly in (False, True):
        Journal()(SourceShut("hub", "owner", 1.0, "sent nothing in time", partly=partly))
    whole, part = [json.loads(line) for line in logged.text.splitlines()]

    assert "hint" not in whole
    assert "answered lately" in part["hint"]


def test_of_a_blob_that_was_set_aside_it_is_told_how_it_comes_back(logged: Logged) -> None:
    Journal()(SetAside("blob", "/cache/quarantine/sha256-1", "its bytes are others"))
    line = json.loads(logged.text)

    assert "fetched again" in line["hint"]
    assert "apprproxy cache verify" in line["hint"]


def test_what_went_wrong_in_the_cache_is_not_said_of_an_upstream(logged: Logged) -> None:
    for what in get_args(Troubled):
        Journal()(Trouble(what, "hub", "x", "because"))
    events = [json.loads(line)["event"] for line in logged.text.splitlines()]

    assert ["upstream trouble", "upstream trouble"] == events[:2]
    assert len(get_args(Troubled)) - 1 == len(set(events))


def test_a_command_in_a_line_does_nothing_else_where_it_is_pasted(logged: Logged) -> None:
    Journal()(NameMoved("quay", "a/b@1';reboot;'/helm", Digest.of(b"first"), Digest.of(b"now"), False))

    assert ["apprproxy", "names", "accept", "quay/a/b@1';reboot;'/helm", str(Digest.of(b"now"))] == shlex.split(
        json.loads(logged.text)["hint"].partition("move it: ")[2]
    )
