"""The protocols that an upstream may speak, and what its configuration says of each: which keys fit, and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ProtocolName = Literal["oci", "appr"]
"""What a configuration calls ``kind``."""

Follow = Literal["follow", "refuse"]
Gone = Literal["follow", "keep"]


@dataclass(frozen=True, slots=True)
class Keys:
    """``moved`` and ``gone`` are defaults. ``based``: an upstream's URL may have a path, below which it answers, and so
    has every mirror; else the path of a mirror's URL stands before its repositories."""

    moved: Follow
    gone: Gone
    based: bool
    prefix: bool = False
    ns: bool = False
    writes: bool = False


KEYS: Mapping[ProtocolName, Keys] = {
    "oci": Keys(moved="follow", gone="follow", based=False, ns=True),
    "appr": Keys(moved="refuse", gone="keep", based=True, prefix=True, writes=True),
}


def only_for(key: str) -> str:
    """The protocols that have the key, for a message."""
    return ", ".join(f"kind: {name}" for name, keys in KEYS.items() if getattr(keys, key))
