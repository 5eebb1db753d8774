"""Failures, by whose fault they are.

Failure
├── ClientFault             the request is at fault; asking again will not help
│   ├── Malformed           400: a name, digest or query that cannot be right
│   ├── UnknownPlace        404: no such upstream or view here
│   ├── TooLarge            413: a body that is larger than is taken
│   ├── Denied              403: a rule of the configuration refuses the name; says which key of which upstream
│   └── NotAllowed          405: not done here; names the key that allows it
├── UpstreamFault           one source, one attempt
│   ├── NotThere            the owner's authoritative *no*; passes a name on only if it says that there is none
│   ├── NotOffered          the end point itself is lacking there
│   ├── Outage              could not answer: refused, broken off, 5xx, an answer that is not the protocol's
│   │   ├── TooSlow         no answer within its time
│   │   │   └── NoConnection
│   │   ├── Unreachable     the line: refused, not resolved, TLS, reset, broken off
│   │   │   └── LedAway     that to where it redirects
│   │   ├── Busy            not asked: all our connections to it are in use
│   │   ├── NoFiles         not asked: this process, or its system, has no descriptor left
│   │   ├── Throttled       429 or 503 with the time to wait
│   │   │   └── Shut        it is not asked for a while: it failed or lied too often
│   │   └── Unauthorized    401 or 403: a credential is missing or was not accepted
│   ├── Lied                bytes or facts that are provably wrong
│   │   ├── DigestMismatch
│   │   ├── CutOff           a package that ends too early
│   │   ├── OtherSize       more or less than what is due, which may be only what a manifest states
│   │   ├── TooMuch         more than is taken here, or of a sort that is not, which may be right
│   │   └── HasLess         than others have sent, whoever of them is right
│   └── Forbidden           a redirect or token realm that the guard refused
└── OurFault                this gateway's own state
    ├── Crowded             too much is under way here already; says when to come back
    ├── Exhausted           every candidate failed; keeps each one's reason
    ├── NotHeld             offline, and the cache does not hold it
    ├── Moved               a release moved and its first bytes are nowhere to be had
    ├── Loop                the request came from ourselves
    ├── StoreFailed         the disk said no
    │   └── NoRoom          it is full, or the cap is reached and nothing may go
    └── Interrupted         the gateway is stopping, or has a defect: the log has the traceback
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from shlex import quote

from apprproxy.core.digest import Digest

MAX_SENTENCE = 500
"""Characters. Where an upstream redirects to is in some, which may be thousands: of a host's name, or of a path."""


class Failure(Exception):
    """Anything that is expected to go wrong. ``str`` is a sentence for a person, without secrets."""


def forget_calls(failure: Failure) -> None:
    """For who keeps it: what the calls had open that it came through, be it a file of gigabytes that was removed
    meanwhile, would stay so until the collector comes by."""
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None


class ClientFault(Failure):
    pass


class Malformed(ClientFault):
    """``code`` is the OCI error code that fits best."""

    def __init__(self, sentence: str, code: str = "NAME_INVALID") -> None:
        super().__init__(sentence)
        self.code = code


class UnknownPlace(ClientFault):
    pass


class NotAllowed(ClientFault):
    pass


class TooLarge(ClientFault):
    pass


class Denied(ClientFault):
    pass


class UpstreamFault(Failure):
    """One source failed one attempt. ``source`` names it (the upstream's name); ``status`` is its HTTP status. Of a
    sentence that is too long its end is left out."""

    def __init__(self, source: str, sentence: str, status: int | None = None) -> None:
        sentence = sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[:MAX_SENTENCE]}…"
        super().__init__(f"{source}: {sentence}")
        self.source = source
        self.sentence = sentence
        self.status = status


class NotThere(UpstreamFault):
    """``answer`` is the owner's own error document, where its protocol passes that on; ``remembered``: it was not asked
    now."""

    def __init__(
        self,
        source: str,
        sentence: str,
        status: int | None = 404,
        answer: str | None = None,
        *,
        remembered: bool = False,
    ) -> None:
        super().__init__(source, sentence, status)
        self.answer = answer
        self.remembered = remembered

    @property
    def passes_on(self) -> bool:
        """May the next member of a view be asked? Not where the owner understood the name and refused the question
        (400, 403, 409, 422): it may well have the thing. Quay says 403 of packages that do not exist as well as of
        those that one may not see; a private one would be replaced by whoever registers its name elsewhere."""
        return self.status in (404, 410)


class NotOffered(UpstreamFault):
    pass


class Outage(UpstreamFault):
    pass


class TooSlow(Outage):
    pass


class NoConnection(TooSlow):
    pass


class Unreachable(Outage):
    pass


class LedAway(Unreachable):
    """It answered; the other host that it redirects to cannot be reached."""


class Busy(Outage):
    pass


class NoFiles(Outage):
    pass


class Throttled(Outage):
    """``retry_after`` in seconds, None where the upstream did not say. ``beyond``: it could not ask further itself."""

    def __init__(
        self, source: str, sentence: str, status: int | None, retry_after: float | None, *, beyond: bool = False
    ) -> None:
        super().__init__(source, sentence, status)
        self.retry_after = retry_after
        self.beyond = beyond


class Shut(Throttled):
    """Nobody was asked, so there is no status; ``reason`` is what it had done."""

    def __init__(self, source: str, reason: str, retry_after: float) -> None:
        seconds = "1 more second" if retry_after < 1.5 else f"{retry_after:.0f} more seconds"
        super().__init__(source, f"is not asked for {seconds}: {reason}", None, retry_after)


class Unauthorized(Outage):
    """``presented`` says whether a credential of ours was refused, which is an alarm, or none was at hand."""

    def __init__(self, source: str, sentence: str, status: int, *, presented: bool) -> None:
        super().__init__(source, sentence, status)
        self.presented = presented


class Lied(UpstreamFault):
    pass


class DigestMismatch(Lied):
    def __init__(self, source: str, expected: Digest, got: Digest) -> None:
        super().__init__(source, f"sent bytes with digest {got} where {expected} was asked for")
        self.expected = expected
        self.got = got


class CutOff(Lied):
    """A lie only of who said that this is all."""


class OtherSize(Lied):
    pass


class TooMuch(Lied):
    """``total`` is how many bytes there are at least; ``inf`` where whatever is taken is something else."""

    def __init__(self, source: str, sentence: str, total: float = inf) -> None:
        super().__init__(source, sentence)
        self.total = total


class HasLess(Lied):
    """Than somebody else has sent. ``total`` is what it says that the whole has, if it says so."""

    def __init__(self, source: str, there: int, total: int | None) -> None:
        super().__init__(source, f"has less than the {there} bytes that are there")
        self.total = total


class Forbidden(UpstreamFault):
    pass


class OurFault(Failure):
    pass


class Crowded(OurFault):
    """``retry_after`` in seconds."""

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Exhausted(OurFault):
    """Every candidate failed. ``failures`` are the owners', in the order in which they were asked; what mirrors said
    stands ``aside``: it decides nothing."""

    def __init__(self, failures: Sequence[UpstreamFault], aside: Sequence[UpstreamFault] = ()) -> None:
        super().__init__("; ".join(str(failure) for failure in (*failures, *aside)) or "nobody to ask")
        self.failures = tuple(failures)


def faults_in(failure: Failure) -> tuple[Failure, ...]:
    """Each one's, where every candidate failed; else the failure itself."""
    return failure.failures if isinstance(failure, Exhausted) else (failure,)


class NotHeld(OurFault):
    pass


@dataclass(frozen=True, slots=True)
class Move:
    """A release and both of its digests; ``name`` is what ``apprproxy names accept`` takes."""

    name: str
    first: Digest
    now: Digest


class Moved(OurFault):
    def __init__(self, move: Move) -> None:
        super().__init__(
            f"release moved: {move.name} was first seen as {move.first} and its upstream now says {move.now}; the first"
            f" bytes are nowhere to be had. To take the new ones: apprproxy names accept {quote(move.name)} {move.now}"
        )
        self.move = move


class Loop(OurFault):
    pass


class StoreFailed(OurFault):
    pass


class NoRoom(StoreFailed):
    pass


class Interrupted(OurFault):
    pass
