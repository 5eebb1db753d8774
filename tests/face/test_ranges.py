"""One range or the whole (RFC 9110, section 14)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.face.ranges import Unsatisfiable, parse_range
from apprproxy.gateway.delivery.delivery import Span


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-4", Span(2, 5)),
        ("bytes=2-", Span(2, 10)),
        ("bytes=2-99999", Span(2, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-30", Span(0, 10)),
        (" Bytes = 2 - 4 ", Span(2, 5)),
    ],
)
def test_a_part_is_cut_to_the_content(field: str, part: Span) -> None:
    assert part == parse_range(field, 10)


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=4-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=٠-٣",
    ],
)
def test_what_is_malformed_or_multiple_means_the_whole(field: str | None) -> None:
    assert parse_range(field, 10) is None


@pytest.mark.parametrize(("field", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=-1", 0)])
def test_what_lies_outside_cannot_be_had(field: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(field, size)


@given(st.integers(0, 50), st.none() | st.integers(0, 60), st.integers(0, 50))
def test_a_part_is_what_it_says(start: int, last: int | None, size: int) -> None:
    content = bytes(range(size))
    try:
        part = parse_range(f"bytes={start}-{'' if last is None else last}", size)
    except Unsatisfiable:
        assert start >= size
        return
    if part is None:
        assert last is not None
        assert last < start
        return

    assert content[start : None if last is None else last + 1] == content[part.start : part.stop]
    assert 0 < part.length <= size


@given(st.text(max_size=60) | st.text("bytes=-, 0123456789", max_size=40), st.integers(0, 100))
def test_no_text_raises_anything_else(field: str, size: int) -> None:
    try:
        part = parse_range(field, size)
    except Unsatisfiable:
        return
    assert part is None or 0 <= part.start < part.stop <= size


@pytest.mark.parametrize(
    "field", ["bytes=" + " " * 40_000 + "-" + " " * 40_000 + "x", "bytes=" + "\t " * 40_000, "b" * 80_000]
)
def test_a_range_of_blanks_costs_no_time(field: str) -> None:
    began = time.thread_time()
    part = parse_range(field, 100)

    assert part is None
    assert time.thread_time() - began < 0.5
