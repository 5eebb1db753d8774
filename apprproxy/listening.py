"""An address of the configuration listens, or a sentence says why it cannot, or why nobody is accepted there."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

from apprproxy.core.events import NotConnected, Observer
from apprproxy.settings.fields import split_address

WAITING = 1024
"""Connections that the system holds for us."""
AT_A_TIME = 16
"""Of them, accepted before those too many are closed: each is a descriptor until then."""
_NONE_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_SOCKET = "no socket can be made; too few files may be open (ulimit -n)"


class CannotListen(Exception):
    """``str`` says which address, and why."""


async def listen(address: str, factory: Callable[[], asyncio.Protocol], key: str) -> asyncio.Server:
    """Raises CannotListen. ``key`` of ``server`` is where the address is from."""
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(factory, host, port, backlog=AT_A_TIME, reuse_address=True)
        for listening in server.sockets:
            with listening.dup() as same:
                same.listen(WAITING)  # asyncio has one number for how many wait and how many are accepted in one go
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {_reason(_cause(error, host, port), key)}") from None
    if not server.sockets:  # the library takes any failure to make one for an address family that there is not
        raise CannotListen(f"cannot listen on {address}: {_NO_SOCKET}")
    return server


def _cause(error: OSError, host: str, port: int) -> OSError:
    """The library (Python 3.13) says of several failures only that it could bind none."""
    if error.errno is None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            socket.create_server((host, port), family=family).close()
        except OSError as cause:
            return cause
    return error


def _reason(error: OSError, key: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            what = "it is in use by another program"
        case errno.EADDRNOTAVAIL:
            what = "it is no address of this machine"
        case errno.EMFILE | errno.ENFILE:
            return _NO_SOCKET
        case errno.EACCES:
            what = "this user may not listen there"
        case _:
            return str(error.strerror or error)
    return f"{what}; give another in server.{key}, or APPRPROXY_SERVER__{key.upper()}=127.0.0.1:8081"


def written(port: asyncio.Server) -> str:
    """Its address, as it stands in a URL."""
    host, number = port.sockets[0].getsockname()[:2]
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


class AcceptFailures:
    """A loop's handler of exceptions: where no connection can be accepted, the loop says so a thousand times a
    second."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "socket" in context and isinstance(error, OSError) and error.errno in _NONE_LEFT:
            self._observer(NotConnected("files"))
        else:
            loop.default_exception_handler(context)
