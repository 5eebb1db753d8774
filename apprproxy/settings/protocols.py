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
    has every mirror; else the path of a mirror's URL stands before its repositories. ``no_pattern`` is a regular
    expression of what stands in no pattern that a name can fit."""

    moved: Follow
    gone: Gone
    based: bool
    no_pattern: str
    prefix: bool = False
    ns: bool = False
    writes: bool = False


_NO_REPOSITORY = r"[A-Z]|(^|/)[/._-]|[/._-](/|$)"
"""Lower case, and letters or digits at both ends of every component (OCI distribution specification, "Pulling
manifests")."""
_NO_PACKAGE = r"(^|/)[/.]|/$|/.*/|^[^/*?]*$"
"""One slash, neither at an end, and no dot first."""

KEYS: Mapping[ProtocolName, Keys] = {
    "oci": Keys(moved="follow", gone="follow", based=False, no_pattern=_NO_REPOSITORY, ns=True),
    "appr": Keys(moved="refuse", gone="keep", based=True, no_pattern=_NO_PACKAGE, prefix=True, writes=True),
}


def only_for(key: str) -> str:
    """The protocols that have the key, for a message."""
    return ", ".join(f"kind: {name}" for name, keys in KEYS.items() if getattr(keys, key))
