"""Tokens by upstream, account, realm, service and scope: one request however many ask, kept until shortly before they
end."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from apprproxy.core.ports.store import Brief
from apprproxy.upstream.auth import Account, Obtain, Obtained, Token, TokenWant

Request = Callable[[TokenWant, Account | None], Awaitable[Token]]


class Tokens:
    """``request`` asks the token server; its failures reach everyone who waited for the answer."""

    def __init__(self, upstream: str, brief: Brief, request: Request) -> None:
        self._upstream = upstream
        self._brief = brief
        self._request = request
        self._running: dict[str, asyncio.Task[Token]] = {}

    async def get(self, wish: Obtain, account: Account | None) -> Obtained:
        key = self._key(wish.want, account)
        kept = await self._brief.get(key)
        if kept is not None and kept != wish.stale:
            return Obtained(kept, kept=True)
        if kept is not None:
            await self._brief.forget(key)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._obtain(key, wish.want, account), name=f"token {self._upstream}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return Obtained((await asyncio.shield(task)).text, kept=False)

    async def _obtain(self, key: str, want: TokenWant, account: Account | None) -> Token:
        token = await self._request(want, account)
        await self._brief.set(key, token.text, token.life)
        return token

    def _ended(self, key: str, task: asyncio.Task[Token]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # everyone who waits gets it; nobody may be waiting any more

    def _key(self, want: TokenWant, account: Account | None) -> str:
        secret = f"{account.username}\0{account.password}" if account else ""
        parts = "\0".join((want.realm, want.service, want.scope, secret))
        return f"token {self._upstream} {hashlib.sha256(parts.encode()).hexdigest()}"
