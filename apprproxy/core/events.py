"""What happens that somebody may want to measure: one value per kind of event, given to an Observer.

``source`` is ``owner`` or ``mirror-1``, ``mirror-2`` …; no field that becomes a label ever holds what a client sent.
"""

from dataclasses import dataclass

from apprproxy.core.digest import Digest


@dataclass(frozen=True, slots=True)
class Asked:
    """An upstream request ended. ``status`` is the HTTP status, or ``error`` where there was none."""

    upstream: str
    source: str
    kind: str
    status: str
    seconds: float
    received: int = 0


@dataclass(frozen=True, slots=True)
class LieCaught:
    upstream: str
    source: str
    expected: Digest
    got: Digest


@dataclass(frozen=True, slots=True)
class NameMoved:
    upstream: str
    name: str
    first: Digest
    now: Digest
    followed: bool


@dataclass(frozen=True, slots=True)
class CredentialRefused:
    upstream: str
    status: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A refresh failed and something older was, or nothing could be, served; or a background step went wrong."""

    what: str
    upstream: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FlightBegan:
    key: str


@dataclass(frozen=True, slots=True)
class FlightEnded:
    key: str


@dataclass(frozen=True, slots=True)
class Followed:
    key: str


@dataclass(frozen=True, slots=True)
class Stored:
    size: int


Event = Asked | LieCaught | NameMoved | CredentialRefused | Trouble | FlightBegan | FlightEnded | Followed | Stored
