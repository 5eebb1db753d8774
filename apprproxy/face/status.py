"""Which HTTP status a failure is, the same for every protocol."""

from collections.abc import Sequence

from apprproxy.core.errors import (
    Busy,
    ClientFault,
    Crowded,
    Denied,
    Exhausted,
    Failure,
    Interrupted,
    Loop,
    Malformed,
    Moved,
    NoFiles,
    NotAllowed,
    NotHeld,
    NotOffered,
    NotThere,
    StoreFailed,
    Throttled,
    TooLarge,
    TooSlow,
    UnknownPlace,
    UpstreamFault,
    faults_in,
)

DAY = 86_400.0
"""Seconds."""


def status_of(failure: Failure) -> int:  # noqa: PLR0912 — one line per failure, in one place
    match failure:
        case Malformed():
            return 400
        case UnknownPlace():
            return 404
        case Denied():
            return 403
        case NotAllowed():
            return 405
        case TooLarge():
            return 413
        case ClientFault():
            return 400
        case NotThere(status=status):
            return status or 404
        case NotOffered():
            return 404
        case Exhausted(failures=failures):
            return _together(failures)
        case NoFiles():
            return 500
        case TooSlow() | NotHeld():
            return 504
        case Throttled() | Busy() | Crowded():
            return 503
        case UpstreamFault():
            return 502
        case Moved():
            return 409
        case Loop():
            return 508
        case StoreFailed():
            return 500
        case Interrupted():
            return 503
        case _:
            return 500


def _together(failures: tuple[UpstreamFault, ...]) -> int:
    """All say no: no. Otherwise somebody who may have it could not be asked, and the failure is theirs."""
    if not failures:
        return 404
    noes = [failure for failure in failures if isinstance(failure, (NotThere, NotOffered))]
    if len(noes) == len(failures):
        return status_of(_weightiest(noes))
    statuses = {status_of(failure) for failure in failures if failure not in noes}
    return statuses.pop() if len(statuses) == 1 else 502


def retry_after(failure: Failure) -> float | None:
    """Seconds after which asking again makes sense, where an upstream said so, or we know; a day at most, for clients
    keep to it, and ask through us for what others have as well."""
    if isinstance(failure, Crowded):
        return failure.retry_after
    throttled = [one for one in faults_in(failure) if isinstance(one, Throttled)]
    waits = [one.retry_after for one in throttled if one.retry_after is not None]
    return min(*waits, DAY) if waits else None


def no_of(failure: Failure) -> NotThere | None:
    """The owner's own words, where they are the reason."""
    noes = [one for one in faults_in(failure) if isinstance(one, NotThere)]
    chosen = _weightiest(noes) if noes else None
    return chosen if isinstance(chosen, NotThere) else None


def is_remembered(failure: Failure) -> bool:
    """Is it a *no* for which nobody was asked now?"""
    failures = faults_in(failure)
    return bool(failures) and all(isinstance(one, NotThere) and one.remembered for one in failures)


def _weightiest(noes: Sequence[NotThere | NotOffered]) -> NotThere | NotOffered:
    """The one that ended the walk, where there is one; else the first."""
    return next((no for no in noes if isinstance(no, NotThere) and not no.passes_on), noes[0])
