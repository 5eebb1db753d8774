"""What was refused lately: wrong bytes, and releases that moved. Bounded, and kept in a file over restarts.

The oldest go first, so that a mirror that lies without end fills neither memory nor disk. The file is written behind
the events, once for all that came meanwhile; what a killed process had not written yet is lost, the log has it.
"""

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import orjson

from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Event, LieCaught, NameMoved
from apprproxy.core.label import OWNER
from apprproxy.core.model import MIB, Clock
from apprproxy.core.trace import Refusal
from apprproxy.store.directory.whole import read_whole, write_whole
from apprproxy.store.names.record import read_time

REMEMBERED = 1000
_LARGEST = 4 * MIB
_SENTENCE = 200
"""Characters kept of a reason."""


class Refusals:
    """Implements Observer. ``close`` when done."""

    def __init__(self, path: Path, now: Clock) -> None:
        self._path = path
        self._now = now
        self._refusals: deque[Refusal] = deque(_read(path), maxlen=REMEMBERED)
        self._lock = threading.Lock()
        self._writing = False
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="refusals")

    def __call__(self, event: Event) -> None:
        match event:
            case LieCaught(upstream, source, expected, got, sentence):
                self._add(Refusal(upstream, source, str(expected), expected, got, self._now(), sentence[:_SENTENCE]))
            case NameMoved(upstream, name, first, now, followed=False):
                self._add(Refusal(upstream, OWNER, name, first, now, self._now()))
            case _:
                pass

    def _add(self, refusal: Refusal) -> None:
        with self._lock:
            self._refusals.append(refusal)
            if self._writing:
                return
            self._writing = True
        with suppress(RuntimeError):  # closing
            self._threads.submit(self._write)

    def _write(self) -> None:
        with self._lock:
            self._writing, refusals = False, list(self._refusals)
        with suppress(StoreFailed):  # a disk that takes nothing is told of elsewhere
            write_whole(self._path, orjson.dumps([_dump(one) for one in refusals]))

    def of(self, upstream: str, subjects: Iterable[str]) -> list[Refusal]:
        """Oldest first."""
        wanted = set(subjects)
        with self._lock:
            return [one for one in self._refusals if one.upstream == upstream and one.subject in wanted]

    def close(self) -> None:
        """Until all that was told is written. Blocking."""
        self._threads.shutdown()


def _dump(one: Refusal) -> list[str | float | None]:
    got = str(one.got) if one.got is not None else None
    return [one.upstream, one.source, one.subject, str(one.expected), got, one.at, one.reason]


def _read(path: Path) -> list[Refusal]:
    """Nothing, where the file cannot be read: what it has is for people, and nothing is decided by it."""
    try:
        raw = read_whole(path, _LARGEST)
        return [_refusal(*fields) for fields in orjson.loads(raw or b"[]")]
    except (StoreFailed, MalformedDigest, ValueError, TypeError):
        return []


def _refusal(
    upstream: str, source: str, subject: str, expected: str, got: str | None, at: float, reason: str = ""
) -> Refusal:
    """Older versions wrote no reason."""
    other = Digest.parse(got) if got is not None else None
    return Refusal(
        str(upstream), str(source), str(subject), Digest.parse(expected), other, read_time(float(at)), str(reason)
    )
