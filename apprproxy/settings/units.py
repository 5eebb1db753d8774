"""Durations and sizes as people write them: ``500ms 10s 5m 12h 7d``, ``64KiB 20GiB``; exact, so that what is written is
what was read."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_QUANTITY = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,6})?)([A-Za-z]+)")
MAX_DURATION = 36_500
"""Days. Longer than anybody means, short enough that a time so far ahead still is one."""
MAX_SIZE = 2**63 - 1
"""Bytes that a file system or a database can count."""


def parse_duration(text: Any) -> float:
    """Seconds, in whole milliseconds; raises ValueError."""
    count = _count(text, _MILLISECONDS)
    if count is None:
        raise ValueError(f"not a duration: {text!r}; write 500ms, 10s, 5m, 12h or 7d")
    if count != int(count):
        raise ValueError(f"{text!r} is finer than a millisecond")
    if count > MAX_DURATION * _MILLISECONDS["d"]:
        raise ValueError(f"{text!r} is longer than {MAX_DURATION}d")
    return int(count) / 1000


def parse_size(text: Any) -> int:
    """Bytes; raises ValueError."""
    count = _count(text, _BYTES)
    if count is None:
        raise ValueError(f"not a size: {text!r}; write 512B, 64KiB, 128MiB, 20GiB or 1TiB")
    if count != int(count):
        raise ValueError(f"{text!r} is no whole number of bytes")
    if count > MAX_SIZE:
        raise ValueError(f"{text!r} is more than any disk holds")
    return int(count)


def write_duration(seconds: float) -> str:
    """The largest unit that says it exactly."""
    return _written(round(seconds * 1000), _MILLISECONDS, "s")


def write_size(size: int) -> str:
    """The largest unit that says it exactly."""
    return _written(size, _BYTES, "B")


def _count(text: Any, units: dict[str, int]) -> Decimal | None:
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    return Decimal(match[1]) * units[match[2]] if match is not None and match[2] in units else None


def _written(count: int, units: dict[str, int], nothing: str) -> str:
    if count == 0:
        return f"0{nothing}"
    unit = max((unit for unit in units if count % units[unit] == 0), key=units.__getitem__)
    return f"{count // units[unit]}{unit}"


def _some_time(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than 0s: nothing could be done in that time")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(write_duration, return_type=str)]
Wait = Annotated[Duration, AfterValidator(_some_time)]
"""A time limit: libraries take 0 for no limit at all, an operator would not."""
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(write_size, return_type=str)]
