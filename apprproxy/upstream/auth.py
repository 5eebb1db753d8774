"""401, then token, then again: which Authorization to send, decided without I/O.

``dance`` is a generator: it yields what it wants done and is sent what came of it.

- ``Try(authorization)`` is answered with the challenges of a 401; on any other status the dance is over.
- ``Obtain(want)`` is answered with what was ``Obtained``.

Token protocol: distribution, "Token Authentication Specification".
"""

import base64
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apprproxy.core.model import KIB
from apprproxy.upstream.challenge import Challenge

DEFAULT_LIFE = 60.0
"""Seconds a token lives where its server does not say (the token specification)."""
MAX_LIFE = 3600.0
MAX_TOKEN_ANSWER = 64 * KIB


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str

    def basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def __repr__(self) -> str:
        return f"Account({self.username!r}, '***')"


@dataclass(frozen=True, slots=True)
class TokenWant:
    """Whose token, for what; equal wants share one token."""

    realm: str
    service: str
    scope: str

    def url(self, account: Account | None) -> str:
        query = [("service", self.service)] if self.service else []
        query += [("scope", scope) for scope in self.scope.split(" ") if scope]
        if account is not None:
            query.append(("account", account.username))
        return f"{self.realm}{'&' if '?' in self.realm else '?'}{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Try:
    """``presented`` says whether a credential of ours stands behind ``authorization``; ``answers`` is the challenge
    that it answers, worth remembering if it is accepted."""

    authorization: str | None
    presented: bool
    answers: Challenge | None = None


@dataclass(frozen=True, slots=True)
class Obtain:
    """``stale`` is a token that was just refused and must not be given again."""

    want: TokenWant
    stale: str | None = None


@dataclass(frozen=True, slots=True)
class Obtained:
    """``kept``: it was given for an earlier request, and may not be taken any more."""

    token: str
    kept: bool


Step = Try | Obtain
Dance = Generator[Step, Any, None]


def dance(account: Account | None, scope: str, known: Challenge | None, *, unasked: bool = False) -> Dance:
    """``known`` is the challenge that worked before; ``unasked`` presents the account without a challenge (App
    Registry servers never send one)."""
    authorization = account.basic() if unasked and account else None
    obtained: Obtained | None = None
    if known is not None:
        obtained, authorization = yield from _answer(known, account, scope, stale=None)
    presented = authorization is not None and account is not None
    challenges: list[Challenge] = yield Try(authorization, presented)
    chosen = choose(challenges, account)
    if chosen is None or (chosen.scheme == "basic" and presented and obtained is None):
        return
    same = known is not None and (known.scheme, _want(known, scope)) == (chosen.scheme, _want(chosen, scope))
    if same and obtained is not None and not obtained.kept:
        return
    for _ in range(2):
        obtained, authorization = yield from _answer(chosen, account, scope, stale=obtained)
        yield Try(authorization, account is not None, chosen)
        if obtained is None or not obtained.kept:
            return


def _answer(
    challenge: Challenge, account: Account | None, scope: str, stale: Obtained | None
) -> Generator[Step, Any, tuple[Obtained | None, str | None]]:
    """What was obtained, where that was to be, and the Authorization."""
    if challenge.scheme == "basic":
        return None, account.basic() if account else None
    obtained: Obtained = yield Obtain(_want(challenge, scope), stale.token if stale is not None else None)
    return obtained, f"Bearer {obtained.token}"


def _want(challenge: Challenge, scope: str) -> TokenWant:
    return TokenWant(challenge.get("realm"), challenge.get("service"), challenge.get("scope") or scope)


def choose(challenges: list[Challenge], account: Account | None) -> Challenge | None:
    """Bearer before Basic, since it sends the password to fewer; Basic only with an account."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.get("realm"):
            return challenge
    for challenge in challenges:
        if challenge.scheme == "basic" and account is not None:
            return challenge
    return None


def forget_scope(challenge: Challenge) -> Challenge:
    """A challenge as it is remembered for requests to come, which have scopes of their own."""
    return Challenge(challenge.scheme, tuple(pair for pair in challenge.parameters if pair[0] != "scope"))


@dataclass(frozen=True, slots=True)
class Token:
    """``life`` in seconds, shortened so that it is not used when it is about to end."""

    text: str
    life: float


class NotAToken(ValueError):
    pass


def read_token(body: bytes) -> Token:
    """Read a token server's answer; raises NotAToken."""
    try:
        answer = json.loads(body)
        text = answer.get("token") or answer.get("access_token")
        life = float(answer.get("expires_in") or DEFAULT_LIFE)
    except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        raise NotAToken("the answer is no token") from None
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable() or " " in text:
        raise NotAToken("the answer has no usable token")
    life = min(max(0.0, life), MAX_LIFE)  # in this order, of no number there is nothing
    return Token(text, life - min(10.0, life / 5))
