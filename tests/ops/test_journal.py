"""What an operator may have to act on stands in the log."""

import json

from apprproxy.core.events import Evicted, SetAside
from apprproxy.ops.journal import Journal
from tests.fakes.fixtures import Logged, logged

__all__ = ["logged"]


def test_an_eviction_is_logged_with_what_went(logged: Logged) -> None:
    Journal()(Evicted(3, 700))
    line = json.loads(logged.text)

    assert ("info", 3, 700) == (line["level"], line["blobs"], line["bytes"])
    assert "cache.max_size" in line["event"]


def test_a_file_that_was_set_aside_is_logged_with_where_it_is(logged: Logged) -> None:
    Journal()(SetAside("index", "/cache/index.db.broken-1", "malformed"))
    line = json.loads(logged.text)

    assert ("error", "/cache/index.db.broken-1") == (line["level"], line["path"])
