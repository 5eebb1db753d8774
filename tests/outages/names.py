"""What host names resolve to, as it is given: those below ``.invalid`` resolve only while they are known."""

import socket
from typing import Any

import pytest

HOST = "owner.invalid"


class NameServer:
    """Stands in front of the operating system's resolver."""

    def __init__(self) -> None:
        self.known = {HOST}
        self._genuine = socket.getaddrinfo

    def __call__(self, host: str, *more: Any, **options: Any) -> Any:
        if not str(host).endswith(".invalid"):
            return self._genuine(host, *more, **options)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._genuine("127.0.0.1", *more, **options)


def installed(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    """For this test; a proxy of the environment would resolve in its stead."""
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    return server
