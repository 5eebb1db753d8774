"""Durations and sizes as people write them: ``500ms 10s 5m 12h 7d``, ``64KiB 20GiB``."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]+)")


def parse_duration(text: Any) -> float:
    """Seconds; raises ValueError."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"not a duration: {text!r}; write 500ms, 10s, 5m, 12h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: Any) -> int:
    """Bytes; raises ValueError."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"not a size: {text!r}; write 512B, 64KiB, 128MiB, 20GiB or 1TiB")
    return int(float(match[1]) * _BYTES[match[2]])


def write_duration(seconds: float) -> str:
    """The largest unit that says it exactly."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{round(seconds * 1000):d}ms"


def write_size(size: int) -> str:
    """The largest unit that says it exactly."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(write_duration, return_type=str)]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(write_size, return_type=str)]
