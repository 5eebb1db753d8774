"""TLS in which the other side cannot spend our time: the event loop takes it apart, and nobody else has a turn then.

- Records that carry nothing for the application (changes of the key, tickets to resume by) take some ten microseconds
  and 27 bytes each. No limit on what is said inside sees them, nor that a line is idle on which they come.
- No keys are agreed upon in a group that the other side makes up (DHE): one of 10,000 bits takes a second. Go's
  clients, and so docker, containerd and helm, do not know DHE at all: every registry has something else.

Why lines are ended, and not slowed down, is in ADR 27.
"""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar

from apprproxy.core.model import KIB

MAX_BARE = 64 * KIB
"""Bytes of a line beyond what they brought: some 30 ms of changes of the key. Genuine servers send two tickets, of some
KiB where these hold a client's certificates, and a record of 16 KiB may come in many pieces."""
_PIECE = 32 * KIB
"""Taken apart in one go: with a record of which the end had not come it is less than ``MAX_BARE``."""
_HANDSHAKE = 256 * KIB
"""The library takes chains of certificates up to 100 KiB."""

T = TypeVar("T")


class Bare(ssl.SSLError):
    """As the library's own errors have a reason."""

    reason = "too many records that carry nothing"


def towards_servers() -> ssl.SSLContext:
    """With the system's authorities."""
    context = ssl.create_default_context()
    kinds: list[Any] = context.get_ciphers()
    context.set_ciphers(":".join(kind["name"] for kind in kinds if kind["kea"] != "kx-dhe"))
    context.sslobject_class = _Line
    return context


def towards_clients() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.sslobject_class = _Line
    return context


class _Line(ssl.SSLObject):
    """Is ended where too much comes that brings nothing. Is given a little at a time: the library takes all that it has
    before it says a word."""

    _incoming: ssl.MemoryBIO
    _little: ssl.MemoryBIO
    _bare = 0
    _most = _HANDSHAKE
    _in_blocks = False

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **more: Any) -> Self:
        little = ssl.MemoryBIO()
        line: Self = super()._create(little, outgoing, **more)  # type: ignore[misc]  # as ``wrap_bio`` calls it
        line._incoming, line._little = incoming, little
        return line

    def do_handshake(self) -> None:
        self._with_more(super().do_handshake)
        self._bare, self._most = 0, MAX_BARE
        kind, _, _ = self.cipher() or ("", "", 0)
        self._in_blocks = not any(name in kind for name in ("GCM", "CCM", "CHACHA20"))

    def read(self, *args: Any) -> Any:
        """``args`` are those of the library: how many, and into which buffer."""
        got: Any = self._with_more(partial(super().read, *args))
        count = got if isinstance(got, int) else len(got)
        self._bare = max(0, self._bare - (_worth_in_blocks(count) if self._in_blocks else _worth(count)))
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
                raise Bare(ssl.SSL_ERROR_SSL, Bare.reason)
            self._little.write(piece)


def _worth(count: int) -> int:
    """Bytes of TLS that so many may take up: 22 to 29 more, and as much for each of the few bytes that frame a chunk,
    where these come by themselves. What is small makes up for little, lest it pay for what brings nothing."""
    return count + min(count, 32) + min(count // 8, 96)


def _worth_in_blocks(count: int) -> int:
    """With what TLS 1.2 without GCM puts around them: up to 85, however few they are. Such records are so long that a
    buffer does not hold many, and honest servers frame each chunk with two of them."""
    return count + 85 if count else 0
