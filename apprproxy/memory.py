"""Memory that is free, given back to the system.

The C library keeps what lies between what is in use: after some dozens of documents of 8 MiB hundreds of MiB, for as
long as the process lives.
"""

import ctypes
from collections.abc import Callable


def _trim() -> Callable[[int], int] | None:
    """Of GNU's library; others have none, and keep less."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return trim


_TRIM = _trim()


def give_back() -> None:
    """Blocking, for some hundredths of a second; others go on meanwhile, but where they ask for memory."""
    if _TRIM is not None:
        _TRIM(0)
