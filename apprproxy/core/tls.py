"""TLS in which the other side cannot spend our time: the event loop takes it apart, and nobody else has a turn then.

- Records that carry nothing for the application (changes of the key, tickets to resume by) take some microseconds and
  27 bytes each. No limit on what is said inside sees them, nor that a line is idle on which they come.
- No keys are agreed upon in a group that the other side makes up (DHE): one of 10,000 bits takes a second. Go's
  clients, and so docker, containerd and helm, do not know DHE at all: every registry has something else.
"""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from apprproxy.core.model import KIB

MAX_BARE = 64 * KIB
"""Bytes of a line beyond what they brought: some 20 ms of changes of the key. Genuine servers send two tickets, of some
KiB where these hold a client's certificates, and a record of 16 KiB may come in many pieces."""
_PIECE = 32 * KIB
"""Taken apart in one go: with a record of which the end had not come it is less than ``MAX_BARE``."""
_HANDSHAKE = 256 * KIB
"""The library takes chains of certificates up to 100 KiB."""

T = TypeVar("T")


class Context(ssl.SSLContext):
    """Its lines are ended where too much comes that brings nothing."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        little = ssl.MemoryBIO()
        line = super().wrap_bio(little, outgoing, server_side, server_hostname, session)
        assert isinstance(line, _Line)
        line.fed(incoming, little)
        return line


class _Line(ssl.SSLObject):
    """Is given a little at a time: the library takes all that it has before it says a word."""

    _incoming: ssl.MemoryBIO
    _little: ssl.MemoryBIO
    _bare = 0
    _most = _HANDSHAKE

    def fed(self, incoming: ssl.MemoryBIO, little: ssl.MemoryBIO) -> None:
        self._incoming, self._little = incoming, little

    def do_handshake(self) -> None:
        self._with_more(super().do_handshake)
        self._bare, self._most = 0, MAX_BARE

    def read(self, *args: Any) -> Any:
        """``args`` are those of the library: how many, and into which buffer."""
        got: Any = self._with_more(partial(super().read, *args))
        self._bare = max(0, self._bare - _worth(got if isinstance(got, int) else len(got)))
        return got

    def unwrap(self) -> None:
        self._with_more(super().unwrap)

    def _with_more(self, call: Callable[[], T]) -> T:
        """Raises ssl.SSLError, as the library does."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                piece = self._incoming.read(_PIECE)
                if not piece:
                    raise
            self._bare += len(piece)
            if self._bare > self._most:
                raise ssl.SSLError("too many records that carry nothing")
            self._little.write(piece)


Context.sslobject_class = _Line


def _worth(count: int) -> int:
    """Bytes of TLS that so many may take up: 22 to 69 more by the kind of encryption. What is small makes up for
    little, lest it pay for what brings nothing."""
    return count + min(count, 32) + min(count // 32, 64)


def towards_servers() -> Context:
    """With the system's authorities."""
    context = Context(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificates and names
    context.load_default_certs()
    kinds: list[Any] = context.get_ciphers()
    context.set_ciphers(":".join(kind["name"] for kind in kinds if kind["kea"] != "kx-dhe"))
    return context
