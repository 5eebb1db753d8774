"""A log line is one line, says what it says to a machine as well, and cannot be forged from outside."""

import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.ops.logs import bind_request, configure, logger, plain
from tests.fakes.logs import logging_kept


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    with logging_kept():
        yield


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_break_in_a_name_does_not_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    logger("t").info("request", name='x\n{"event": "forged"}')
    [line] = lines(capsys)

    assert "request" == json.loads(line)["event"]
    assert "\\n" not in line


def test_a_terminal_is_not_painted_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    logger("t").info("request", name="\x1b[2Jgone \u202etxt.exe")

    assert "\x1b" not in (line := lines(capsys)[0])
    assert "\u202e" not in line


def test_a_line_for_people_begins_with_what_they_look_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    logger("t").info("request", method="GET", face="oci", name="library/app:1.0", status=200, cache=None, seconds=0.1)
    [line] = lines(capsys)

    assert line.endswith("request status=200 method=GET face=oci name=library/app:1.0 seconds=0.1"), line
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", line)


def test_the_request_id_is_on_every_line_of_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    bind_request("1234")
    logger("t").info("one")
    logging.getLogger("library").warning("two", extra={"key": "value"})
    own, foreign = [json.loads(line) for line in lines(capsys)]

    assert ("1234", "1234") == (own["request_id"], foreign["request_id"])
    assert ("two", "warning", "value") == (foreign["event"], foreign["level"], foreign["key"])


def test_a_traceback_stays_on_the_line_of_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("library").exception("crashed")
    [line] = lines(capsys)

    assert "ValueError: wrong" in json.loads(line)["exception"]


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "warning")
    logger("t").info("request")

    assert [] == lines(capsys)


@given(st.text())
def test_plain_text_is_printable_and_bounded(text: str) -> None:
    shown = plain(text)

    assert len(shown) <= 2000
    assert shown.isprintable()


UNSEEN = (
    "\u061c\u200b\u200e\u2028\u202e\u2060\u2066\ufeff\u00ad\u180e\u00a0\u3000\U000e0041\ue000\ud800\u0378\t\x9b\x7f"
)


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
def test_a_character_that_cannot_be_seen_is_shown(character: str) -> None:
    assert "a�b" == plain(f"a{character}b")


@pytest.mark.parametrize("text", ["alice/nginx@1.0.0  ok", "Zoë’s été — 名前, €1 ✓", "e\u0301"])
def test_text_is_left_as_it_is(text: str) -> None:
    assert text == plain(text)
