"""Whether a client has gone whom nobody reads from: a line that is not read hears of no end."""

import socket
from typing import Any

LOOK = 5.0
"""Seconds after which the system is asked, and asked again."""

_CLOSED = {7, 8}
"""TCP_CLOSE, after a reset, and TCP_CLOSE_WAIT (Linux, net/tcp_states.h)."""


def has_left(line: Any) -> bool:
    """Has the other side ended this socket's connection, whatever of what it sent has not been read yet? False where
    the system does not tell, and of the None that a line by TLS has for its socket in the turn in which it ends."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None or line is None:
        return False
    try:
        return line.getsockopt(socket.IPPROTO_TCP, option, 1)[0] in _CLOSED
    except OSError:
        return False
