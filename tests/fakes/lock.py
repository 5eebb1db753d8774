"""Whom a registry lets in: everybody, whoever has the password, or whoever brings a token."""

import base64
import json
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from tests.fakes.content import oci_error
from tests.fakes.lies import Honest

_JSON = {"Content-Type": "application/json"}


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Lock(Protocol):
    def refuse(self, request: web.BaseRequest, url: str) -> Honest | None:
        """The answer to whoever is not let in; ``url`` is the registry's own."""
        ...

    def token(self, request: web.BaseRequest) -> Honest | None:
        """The answer to whoever asks for a token."""
        ...


class Open:
    def refuse(self, request: web.BaseRequest, url: str) -> Honest | None:
        return None

    def token(self, request: web.BaseRequest) -> Honest | None:
        return None


@dataclass
class Password:
    """Basic: the Authorization itself is compared."""

    username: str = "bot"
    password: str = "s3cret"

    def refuse(self, request: web.BaseRequest, url: str) -> Honest | None:
        if request.headers.get("Authorization") == basic(self.username, self.password):
            return None
        return Honest(401, oci_error("UNAUTHORIZED"), {**_JSON, "WWW-Authenticate": 'Basic realm="registry"'})

    def token(self, request: web.BaseRequest) -> Honest | None:
        return None


@dataclass
class Bearer:
    """Tokens from ``realm``, or from the registry itself. ``challenge`` is a format with realm and scope.

    ``password`` None gives a token to everybody; ``answer`` is the token server's, less the token under ``key``.
    """

    password: str | None = None
    realm: str = ""
    key: str = "token"
    challenge: str = 'Bearer realm="{realm}",service="fake",scope="{scope}"'
    answer: dict[str, object] = field(default_factory=lambda: {"expires_in": 300})
    valid: set[str] = field(default_factory=set)
    issued: int = 0

    def refuse(self, request: web.BaseRequest, url: str) -> Honest | None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") in self.valid:
            return None
        name = request.raw_path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
        challenge = self.challenge.format(realm=self.realm or f"{url}/token", scope=f"repository:{name}:pull")
        return Honest(401, oci_error("UNAUTHORIZED"), {**_JSON, "WWW-Authenticate": challenge})

    def token(self, request: web.BaseRequest) -> Honest | None:
        if self.password is not None and request.headers.get("Authorization") != basic("bot", self.password):
            return Honest(401, b"{}", _JSON)
        self.issued += 1
        token = f"token-{self.issued}-{id(self):x}"
        self.valid.add(token)
        return Honest(200, json.dumps({self.key: token, **self.answer}).encode(), _JSON)

    def expire(self) -> None:
        """No token that was given is accepted any more."""
        self.valid.clear()
