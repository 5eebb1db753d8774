"""What happens that somebody may want to measure: one value per kind of event, given to an Observer.

``source`` is ``owner`` or ``mirror-1``, ``mirror-2`` …; no field that becomes a label ever holds what a client sent.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Busy, Crowded, Failure, NoFiles, StoreFailed, Unauthorized, faults_in


@dataclass(frozen=True, slots=True)
class Asked:
    """An upstream request ended. ``status`` is the HTTP status, or ``error`` where there was none; ``answered`` is the
    part of its ``seconds`` until the headers of the answer, its redirects and tokens included. ``turned_away``: it
    gave no answer, did not let us in, or told us to come back later. ``whole``: whoever read it read to its end.
    ``not_held``: it does not hold what it was to give only if it does."""

    upstream: str
    source: str
    kind: str
    status: str
    seconds: float
    received: int = 0
    answered: float = 0.0
    turned_away: bool = False
    whole: bool = True
    not_held: bool = False


@dataclass(frozen=True, slots=True)
class LieCaught:
    """Of bytes that are ``expected``, in a repository. ``got`` is what came in their place; None where it was something
    else that was wrong (a length, a range), which ``sentence`` says. ``instead`` is who is asked now, or has sent the
    right ones, as failures name it; empty where there is nobody, so that whoever wanted them does not get them."""

    upstream: str
    source: str
    expected: Digest
    got: Digest | None
    sentence: str = ""
    repository: str = ""
    instead: str = ""


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


Troubled = Literal["lookup", "bytes", "busy", "files", "keep", "index", "names", "search", "lock file", "credential"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question about a name failed, or could not be asked (``busy``), and something older was, or nothing could be,
    served; or an owner failed when it was asked for ``bytes``; or could not be asked, there being no ``files`` left; or
    something of ours went wrong beside an answer. ``told``: by an event of its own. ``kind`` of the bytes."""

    what: Troubled
    upstream: str
    name: str
    reason: str
    told: bool = False
    kind: str = ""


def trouble_of(failure: BaseException, otherwise: Troubled, upstream: str, name: str, kind: str = "") -> Trouble:
    """How it is told that this failed; a credential of ours that was refused is told already (CredentialRefused)."""
    told = isinstance(failure, Unauthorized) and failure.presented
    return Trouble(_lacking(failure, otherwise), upstream, name, str(failure), told, kind)


def _lacking(failure: BaseException, otherwise: Troubled) -> Troubled:
    """What there was too little of here, or could not be read; ``otherwise`` it is its upstream's."""
    if isinstance(failure, Failure) and any(isinstance(one, NoFiles) for one in faults_in(failure)):
        return "files"
    match failure:
        case Busy() | Crowded():
            return "busy"
        case StoreFailed():
            return "names"
        case _:
            return otherwise


@dataclass(frozen=True, slots=True)
class SourceShut:
    """A source is not asked for a while: it failed too often, or (``lied``) it sent something wrong. ``partly``: about
    repositories that have answered lately it is."""

    upstream: str
    source: str
    seconds: float
    reason: str
    lied: bool = False
    partly: bool = False


@dataclass(frozen=True, slots=True)
class SourceOpened:
    """A source that was shut has answered, and is asked again: so many ``seconds`` after it was shut."""

    upstream: str
    source: str
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class FlightBegan:
    """A transfer, which may have to wait for its turn."""


@dataclass(frozen=True, slots=True)
class FlightEnded:
    """However it ended."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Somebody asked for bytes that were on their way."""


Because = Literal["cap", "disk"]


@dataclass(frozen=True, slots=True)
class Evicted:
    """So many blobs, of so many bytes in all, made room: below the cap, or on a disk that was full before."""

    blobs: int
    size: int
    because: Because = "cap"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that cannot be read was kept under another name, and begun anew."""

    what: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadAnew:
    """A file of an upstream's that had changed."""

    what: Literal["lock file", "credential"]
    upstream: str
    path: str


@dataclass(frozen=True, slots=True)
class NotHttp:
    """What came as a request was refused with ``status``. ``reason`` is why: one of a few, or one more that may be
    ``quoted`` from what the client sent, and another each time."""

    reason: str
    status: int
    client: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class NotTls:
    """A client's handshake failed. ``reason`` is one of a closed set: the TLS library's, and those of ``core.tls``."""

    reason: str
    client: str


NotConnectedBecause = Literal["connections", "files"]


@dataclass(frozen=True, slots=True)
class NotConnected:
    """A connection was closed at once, for there are as many as may be, or could not be accepted for want of ``files``
    that this process may open."""

    because: NotConnectedBecause


Event = (
    Asked
    | LieCaught
    | NameMoved
    | CredentialRefused
    | Trouble
    | SourceShut
    | SourceOpened
    | FlightBegan
    | FlightEnded
    | Followed
    | Evicted
    | SetAside
    | ReadAnew
    | NotHttp
    | NotTls
    | NotConnected
)


class Observer(Protocol):
    def __call__(self, event: Event) -> None:
        """Must not raise and must not block."""
        ...
