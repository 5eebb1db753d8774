"""What one client has been given of bytes that nobody keeps: from one source alone, hashed, its end held back.

- Bytes of different sources are never mixed. Who comes next sends the whole, and goes on where the digest of what there
  was is that of as much from itself; nothing else of what there was has to be kept.
- Where they differ, one of the two lied, and nobody can say which: this client is given nothing of the other.
"""

from collections import deque
from collections.abc import Iterator

from apprproxy.core.digest import Check, Digest
from apprproxy.core.errors import HasLess, Lied
from apprproxy.core.label import Label
from apprproxy.core.ports.store import Readable
from apprproxy.gateway.delivery.follow import WITHHELD

_READ = 1024 * 1024


class Given:
    """Of a blob of ``size``, to whom bytes ``at`` up to ``stop`` are given. ``disputed``: somebody sent other bytes."""

    def __init__(self, at: int, stop: int, size: int, algorithm: str) -> None:
        self._at = at
        self._stop = stop
        self._size = size
        self._algorithm = algorithm
        self._source = self._whose = Label("")
        self._some = self.disputed = False
        self._restart()

    def _restart(self) -> None:
        self._check = self._standing = Check(self._algorithm)
        self._tail = _Tail(self._at, self._stop)

    def had(self, there: Readable, whose: Label) -> None:
        """The client has been given what lies there before ``at``. Blocking."""
        self._whose, self._some = whose, True
        while self._check.size < self._at:
            piece = there.pread(self._check.size, min(_READ, self._at - self._check.size))
            if not piece:
                return
            self._check.update(piece)

    def goes_on(self, source: Label) -> None:
        """This one sends from now on: the rest, where it goes on with its own bytes; anew, where the client has been
        given nothing; else the whole, of which the beginning is compared with what the client has."""
        self._check, self._source = self._standing, source
        if self._whose == source:
            return
        if self._some:
            self._check = Check(self._algorithm)
        else:
            self._restart()
            self._whose = source

    @property
    def position(self) -> int:
        """Which byte is to be sent next."""
        return self._check.size

    def is_of(self, source: Label) -> bool:
        """Does it go on where it stopped?"""
        return self._whose == source

    @property
    def some(self) -> bool:
        """Has the client been given anything?"""
        return self._some

    def taken(self, fresh: bytes) -> Iterator[bytes]:
        """What may leave, now that these have come; raises Lied."""
        if self._check is not self._standing:
            fresh = self._compared(fresh)
        if self._check.size + len(fresh) > self._size:
            raise Lied(self._source.name, f"sent more than the {self._size} bytes that are due")
        begin = self._check.size
        self._check.update(fresh)
        if self._check is self._standing:
            for piece in self._tail.after(begin, fresh):
                self._some = self._some or bool(piece)
                yield piece

    def _compared(self, fresh: bytes) -> bytes:
        """What is left of these behind what the client has, once that is the same."""
        lacks = self._standing.size - self._check.size
        self._check.update(fresh[:lacks])
        if self._check.size == self._standing.size:
            if self._check.digest() != self._standing.digest():
                self.disputed = True
                had = f"sent other bytes than {self._source.name}, of which this client has been given some"
                raise Lied(self._whose.name, f"{had}: one of the two lied")
            self._standing, self._whose = self._check, self._source
        return fresh[lacks:]

    def ended(self) -> tuple[Digest, Iterator[bytes]]:
        """The digest of the whole, as this source sent it, and what may leave if that is right; raises Lied."""
        if self._check is not self._standing:
            raise HasLess(self._source.name, self._standing.size, self._check.size)
        return self._check.digest(), iter(self._tail.kept)


class _Tail:
    """Holds back the last bytes of what is wanted."""

    def __init__(self, at: int, stop: int) -> None:
        self._at = at
        self._stop = stop
        self._waiting = 0
        self.kept: deque[bytes] = deque()

    def after(self, begin: int, fresh: bytes) -> Iterator[bytes]:
        """What may leave, now that these bytes, which begin there, have come as well."""
        wanted = fresh[max(0, self._at - begin) : max(0, self._stop - begin)]
        self.kept.append(wanted)
        self._waiting += len(wanted)
        while self.kept and self._waiting - len(self.kept[0]) >= WITHHELD:
            self._waiting -= len(self.kept[0])
            yield self.kept.popleft()
