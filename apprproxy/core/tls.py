"""TLS towards servers, with no keys agreed upon in a group that the server makes up (DHE).

One of 10,000 bits takes a second of the event loop, and nobody else has a turn meanwhile. Go's clients, and so docker,
containerd and helm, do not know DHE at all: every registry has something else.
"""

import ssl
from typing import Any


def towards_servers() -> ssl.SSLContext:
    """With the system's authorities."""
    context = ssl.create_default_context()
    kinds: list[Any] = context.get_ciphers()
    context.set_ciphers(":".join(kind["name"] for kind in kinds if kind["kea"] != "kx-dhe"))
    return context
