"""Durations and sizes: what is written is what was read, and nothing is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.settings.units import (
    MAX_DURATION,
    MAX_SIZE,
    parse_duration,
    parse_size,
    write_duration,
    write_size,
)

DAY = 86_400_000  # milliseconds


@given(st.integers(0, MAX_DURATION * DAY))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert milliseconds / 1000 == parse_duration(write_duration(milliseconds / 1000))


@given(st.integers(0, MAX_SIZE))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert size == parse_size(write_size(size))


@given(st.integers(0, 10**5), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_written_duration_is_never_longer_than_what_a_person_wrote(count: int, unit: str) -> None:
    written = f"{count}{unit}"
    if count and count <= MAX_DURATION:
        assert len(write_duration(parse_duration(written))) <= len(written)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("5m", 300),
        ("12h", 43200),
        ("7d", 604800),
        ("0s", 0),
        ("1.5s", 1.5),
        ("1.1h", 3960),
    ],
)
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65536), ("1.5MiB", 1572864), ("20GiB", 21474836480), ("1TiB", 1099511627776), ("0B", 0)],
)
def test_a_size_has_a_number_and_a_unit(text: str, size: int) -> None:
    assert size == parse_size(text)


@pytest.mark.parametrize("value", [60, 1.5, None, True, "", "60", "s", "-1s", "1 s", "1S", "1m30s", "1e3s", "٣s", "1w"])
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a duration: .*; write 500ms"):
        parse_duration(value)


@pytest.mark.parametrize("value", [60, None, "", "60", "-1B", "1 GiB", "1gib", "1GB", "1K", "1e3B", ["1B"]])
def test_what_is_no_size_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a size: .*; write 512B"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("0.5ms", "finer than a millisecond"), ("36501d", "longer than"), (f"{'9' * 19}d", "longer than")],
)
def test_a_duration_that_would_be_rounded_or_overflow_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_duration(text)


@pytest.mark.parametrize(("text", "said"), [("0.5B", "no whole number"), ("8388608TiB", "more than any disk")])
def test_a_size_that_would_be_rounded_or_overflow_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_size(text)
