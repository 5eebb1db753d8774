"""What happened beside requests, as log lines: what an operator may have to act on."""

import time
from collections.abc import Mapping
from shlex import quote
from types import MappingProxyType

from apprproxy.core.events import (
    Asked,
    CredentialRefused,
    Event,
    Evicted,
    LieCaught,
    NameMoved,
    NotConnected,
    NotHttp,
    NotTls,
    ReadAnew,
    SetAside,
    SourceOpened,
    SourceShut,
    Trouble,
    Troubled,
)
from apprproxy.core.kind import Kind
from apprproxy.core.label import OWNER
from apprproxy.core.model import Clock
from apprproxy.ops.telling import HOUR, MINUTE, Telling

SLOW = 1.0
"""Seconds after which it is worth a line who was waited for."""

_TROUBLES: Mapping[Troubled, str] = {
    "lookup": "upstream trouble",
    "bytes": "upstream trouble",
    "busy": "more is asked of an upstream than it has connections",
    "files": "an upstream could not be asked: this process, or its system, has too many files open (ulimit -n)",
    "keep": "something could not be kept in the cache",
    "index": "the index of the cache failed",
    "names": "the names in the cache failed",
    "search": "a list could not be kept for the search",
    "lock file": "a lock file could not be read again",
    "credential": "the file with our credential could not be read again",
}
_OF_ALL: set[Troubled] = {"files", "index", "names"}
"""One fault of ours, whichever upstream's client met it."""
_POURED = {Kind.BLOB.value, Kind.MANIFEST.value}
"""What comes behind the header of these is at the pace of the disk, and of clients."""
_WELL = {"200", "206", "304"}
_PARTLY = "repositories that have answered lately are asked for all the same"
_ALL_MOVED = "`apprproxy names list --moved` has all that moved"
_FETCHED_AGAIN = "it is fetched again when it is asked for; `apprproxy cache verify` looks at all the others"


_SHUT, _OPENED = "a source fails and is not asked for a while", "a source answers again"
_LIED = "a mirror lied and is distrusted"


class Journal:
    """Implements Observer. ``credentials`` says where that of each upstream stands, in fields of a line."""

    def __init__(
        self, now: Clock = time.time, credentials: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    ) -> None:
        self._credentials = credentials
        self._telling = Telling(now)

    def __call__(self, event: Event) -> None:
        match event:
            case LieCaught():
                self._lied(event)
            case NameMoved():
                self._moved(event)
            case CredentialRefused(upstream, status):
                facts = {"status": status, **self._credentials.get(upstream, {})}
                self._telling.episode(
                    "error", "an upstream refused our credential", str(status), upstream=upstream, **facts
                )
            case Asked():
                self._asked(event)
            case Trouble(told=False):
                self._troubled(event)
            case SourceShut() | SourceOpened():
                self._stands(event)
            case Evicted():
                self._evicted(event)
            case SetAside():
                self._set_aside(event)
            case ReadAnew(what, upstream, path):
                self._telling.line(
                    "info", "a file that had changed was read again", what=what, upstream=upstream, path=path
                )
            case NotHttp() | NotTls() | NotConnected():
                self._turned_away(event)
            case _:
                pass

    def _stands(self, event: SourceShut | SourceOpened) -> None:
        match event:
            case SourceShut(_, _, seconds, reason, lied, partly):
                level, what = "warning", _LIED if lied else _SHUT
                facts = {"wait": seconds, "reason": reason, **({"hint": _PARTLY} if partly else {})}
            case SourceOpened(_, _, seconds):
                level, what, facts = "info", _OPENED, {"after": round(seconds, 1)}
        self._telling.stands(level, what, {"upstream": event.upstream, "source": event.source}, facts)

    def _set_aside(self, aside: SetAside) -> None:
        facts = {"path": aside.path, "reason": aside.reason}
        if aside.what == "blob":  # a bad disk, or whoever ran over the folder, may have broken all of them
            facts["hint"] = _FETCHED_AGAIN
            self._telling.repeated("error", "a broken file was set aside", MINUTE, {"what": aside.what}, facts)
        else:
            self._telling.line("error", "a broken file was set aside", what=aside.what, **facts)

    def _evicted(self, went: Evicted) -> None:
        if went.because == "cap":
            self._telling.repeated(
                "info", "evicted to stay below cache.max_size", HOUR, blobs=went.blobs, bytes=went.size
            )
        else:
            self._telling.repeated(
                "warning", "evicted because the cache's disk is full", MINUTE, blobs=went.blobs, bytes=went.size
            )

    def _turned_away(self, event: NotHttp | NotTls | NotConnected) -> None:
        """Many clients try https on a plain port first, at every run; and the loop says a thousand times a second that
        there are no files."""
        match event:
            case NotHttp(reason, status, client, quoted):
                of, more = ({}, {"reason": reason}) if quoted else ({"reason": reason}, {})
                facts = {"client": client or None, "status": status, **more}
                self._telling.repeated("info", "a malformed request was refused", MINUTE, of, facts)
            case NotTls(reason, client):
                self._telling.repeated(
                    "info", "a TLS handshake failed", MINUTE, {"reason": reason}, {"client": client or None}
                )
            case NotConnected("connections"):
                self._telling.repeated(
                    "warning",
                    "too many connections: some were closed at once (server.limits.connections)",
                    MINUTE,
                    closed=1,
                )
            case NotConnected("files"):
                self._telling.repeated(
                    "error",
                    "no connection can be accepted: this process, or its system, has too many files open (ulimit -n)",
                    MINUTE,
                    failed=1,
                )

    def _troubled(self, trouble: Trouble) -> None:
        event, facts = _TROUBLES[trouble.what], {"name": trouble.name, "reason": trouble.reason}
        if trouble.what in ("lookup", "bytes", "busy"):
            facts |= {"what": trouble.what, "upstream": trouble.upstream}
            self._telling.episode("warning", event, trouble.reason, trouble.kind, **facts)
        else:  # of ours: no answer of an upstream says that it is over
            of, upstream = {"what": trouble.what}, {"upstream": trouble.upstream}
            if trouble.what in _OF_ALL:
                self._telling.repeated("warning", event, MINUTE, of, upstream | facts)
            else:
                self._telling.repeated("warning", event, MINUTE, of | upstream, facts)

    def _lied(self, lie: LieCaught) -> None:
        """Nobody to ask instead is an error: clients fail by it."""
        level = "warning" if lie.instead else "error"
        facts = {"repository": lie.repository, "expected": str(lie.expected)}
        facts |= {"got": str(lie.got)} if lie.got is not None else {"reason": lie.sentence}
        facts |= {"instead": lie.instead} if lie.instead else {}
        of = {"upstream": lie.upstream, "source": lie.source}
        self._telling.repeated(
            level,
            "wrong bytes refused" if lie.got is not None else "a wrong answer was refused",
            MINUTE,
            of,
            facts,
        )

    def _moved(self, moved: NameMoved) -> None:
        of = {"upstream": moved.upstream}
        facts = {"name": moved.name, "first": str(moved.first), "now": str(moved.now)}
        if moved.followed:
            self._telling.repeated("warning", "a name moved and was followed", MINUTE, of, facts, moved.name)
        else:
            accept = f"apprproxy names accept {quote(f'{moved.upstream}/{moved.name}')} {moved.now}"
            facts["hint"] = f"clients get the first; {_ALL_MOVED}; if its owner meant to move it: {accept}"
            self._telling.repeated("warning", "a release moved; its first digest stands", MINUTE, of, facts, moved.name)

    def _asked(self, asked: Asked) -> None:
        took = asked.answered if asked.kind in _POURED else asked.seconds
        if took > SLOW:
            status = int(asked.status) if asked.status.isdecimal() else None
            of = {"upstream": asked.upstream, "source": asked.source, "kind": asked.kind}
            facts = {"status": status, "seconds": round(took, 2)}
            self._telling.repeated("info", "an upstream took long to answer", MINUTE, of, facts)
        if asked.source == OWNER and asked.status in _WELL and asked.kind != "token":  # of another server, maybe
            self._telling.answered(asked.upstream, asked.kind if asked.received and asked.whole else "")

    def remind(self) -> None:
        """What has not been told for its time. To be called now and then."""
        self._telling.remind()

    def end(self) -> None:
        """All that has not been told yet, and what is not over."""
        self._telling.end()
