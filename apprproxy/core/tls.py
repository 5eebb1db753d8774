"""TLS in which the other side cannot spend our time: the event loop takes it apart, and nobody else has a turn then.

- Records that carry nothing for the application (changes of the key, tickets to resume by) take some ten microseconds
  and 27 bytes each. No limit on what is said inside sees them, nor that a line is idle on which they come: a line with
  too many is ended (ADR 27). Those with little in them are honest, and have their turn as others do.
- No keys are agreed upon in finite fields. A group of 10,000 bits, which TLS 1.2 lets a server make up, takes a second,
  and the largest of TLS 1.3 an eighth of one, of a server before its client has proven anything. Go's clients, and so
  docker, containerd and helm, know neither: every registry has something else.
"""

import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Self, TypeVar

from apprproxy.core.hello import CLIENT_HELLO, SERVER_HELLO, agrees_in_a_finite_field, number
from apprproxy.core.model import KIB

MAX_BARE = 1000
"""Records of a line that brought nothing. Genuine servers send two tickets, and hardly anybody ever changes a key."""
CONTENT = KIB
"""Bytes that make up for one such record: on a line that goes on for days these are some."""
MAX_IDLE = 1024 * KIB
"""Bytes in records of a line beyond what these brought: one may hold nine hundred tickets."""
_AROUND, _AROUND_IN_BLOCKS = 17, 85
"""Bytes that encipherment puts around what a record brings: in TLS 1.3 (RFC 8446, section 5.2), and at most before."""
READ = 64 * KIB
"""Taken from a line in one go, in which there may be two thousand records; and kept for each. With half as much a
transfer takes a third more of a processor."""
_HANDSHAKE = 256 * KIB
"""The library takes chains of certificates up to 100 KiB."""

_HEADER = 5
_HANDSHAKES = 22
_HELLO_REQUEST = bytes(4)
"""A client passes over it."""

T = TypeVar("T")

SSLProtocol.max_size = READ  # of all lines of this process: asyncio asks nobody how much it is to read


class Refused(ssl.SSLError):
    """As the library's own errors have a ``reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, reason)
        self.reason = reason


def towards_servers() -> ssl.SSLContext:
    """With the system's authorities."""
    context = ssl.create_default_context()
    kinds: list[Any] = context.get_ciphers()
    context.set_ciphers(":".join(kind["name"] for kind in kinds if kind["kea"] != "kx-dhe"))
    context.sslobject_class = _Line
    return context


@cache
def to_anybody() -> ssl.SSLContext:
    """One for all of whom nothing else is said: reading the system's authorities takes time, and keeping them
    memory."""
    context = towards_servers()
    context.set_alpn_protocols(["http/1.1"])
    return context


def towards_clients() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.sslobject_class = _Line
    return context


class _Line(ssl.SSLObject):
    """Is given a little at a time: the library takes all that it has before it says a word."""

    _incoming: ssl.MemoryBIO
    _little: ssl.MemoryBIO
    _ahead = b""
    """The beginning of a record's header."""
    _kind = 0
    _left = 0
    """Of a record whose header has come."""
    _said: bytearray
    """In plain records of the handshake, and not looked at yet."""
    _hears = True
    """There may be another hello."""
    _opening = 0
    """Bytes that came of the handshake."""
    _open = False
    _bare = 0
    _content = 0
    _idle = 0
    _around = 0

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **more: Any) -> Self:
        little = ssl.MemoryBIO()
        line: Self = super()._create(little, outgoing, **more)  # type: ignore[misc]  # as ``wrap_bio`` calls it
        line._incoming, line._little, line._said = incoming, little, bytearray()
        return line

    def do_handshake(self) -> None:
        self._with_more(super().do_handshake)
        self._open, self._hears, self._idle = True, False, 0
        self._around = _AROUND if self.version() == "TLSv1.3" else _AROUND_IN_BLOCKS

    def read(self, *args: Any) -> Any:
        """``args`` are those of the library: how many, and into which buffer. What it gives is of one record."""
        got: Any = self._with_more(partial(super().read, *args))
        brought = got if isinstance(got, int) else len(got)
        self._idle = max(0, self._idle - brought - self._around)
        self._content += brought
        self._bare = max(0, self._bare - 1 - self._content // CONTENT)
        self._content %= CONTENT
        return got

    def unwrap(self) -> None:
        self._with_more(super().unwrap)

    def _with_more(self, call: Callable[[], T]) -> T:
        """Raises ssl.SSLError, as the library does."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:  # all that has come whole was looked at
                if self._bare > MAX_BARE or self._idle > MAX_IDLE:
                    raise Refused("too many records that carry nothing") from None
                piece = self._incoming.read(READ)
                if not piece:
                    raise
            self._look_at(piece)
            self._little.write(piece)

    def _look_at(self, piece: bytes) -> None:
        records = self._records_in(piece)
        if self._open:
            self._bare += records
            return
        self._opening += len(piece)
        if self._opening > _HANDSHAKE:
            raise Refused("too long a handshake")
        if any(map(agrees_in_a_finite_field, self._hellos())):
            raise Refused("keys would be agreed upon in a finite field, which takes too long")

    def _records_in(self, piece: bytes) -> int:
        """How many begin in it."""
        data, at, count = self._ahead + piece, self._left, 0
        if self._left:
            self._hear(data, 0, at)
        while at + _HEADER <= len(data):
            self._kind, begin = data[at], at + _HEADER
            at = begin + number(data[at + 3 : begin])
            self._idle += at - begin
            self._hear(data, begin, at)
            count += 1
        self._ahead, self._left = data[at:], max(0, at - len(data))
        return count

    def _hear(self, data: bytes, begin: int, end: int) -> None:
        """What a record says. The library passes over others between them: alerts, what a client says early."""
        if self._hears and self._kind == _HANDSHAKES:
            self._said += data[begin:end]

    def _hellos(self) -> Iterator[bytes]:
        """Those that have come whole, from a client (a second one, where a group was named to it) or a server. What
        comes behind them is of TLS 1.2, in which no group is named before."""
        while len(self._said) >= 4:
            if self._said.startswith(_HELLO_REQUEST):
                del self._said[: len(_HELLO_REQUEST)]
                continue
            if self._said[0] not in (CLIENT_HELLO, SERVER_HELLO):
                self._hears = False
                self._said.clear()
                return
            end = 4 + number(self._said[1:4])
            if end > len(self._said):
                return
            yield bytes(self._said[:end])
            del self._said[:end]
