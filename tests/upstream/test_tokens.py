"""One token request however many ask, and its failure reaches everyone who waited for it, once."""

import asyncio

import pytest

from apprproxy.core.errors import Outage
from apprproxy.store.names.brief import BriefMemory
from apprproxy.upstream.auth import Account, Obtain, Obtained, Token, TokenWant
from apprproxy.upstream.tokens import Tokens
from tests.fakes.clock import Clock, Gate

WANT = TokenWant("https://auth.test/token", "registry", "repository:app:pull")
BOT = Account("bot", "s3cret")


class Server:
    """Gives numbered tokens through a gate; fails while ``down``."""

    def __init__(self) -> None:
        self.asked: list[tuple[TokenWant, Account | None]] = []
        self.gate = Gate()
        self.down = False

    async def __call__(self, want: TokenWant, account: Account | None) -> Token:
        self.asked.append((want, account))
        await self.gate()
        if self.down:
            raise Outage("hub", "its token server is away")
        return Token(f"token-{len(self.asked)}", 60.0)


async def test_those_who_wait_share_one_token(clock: Clock) -> None:
    server = Server()
    tokens = Tokens("hub", BriefMemory(clock), server)
    asking = [asyncio.create_task(tokens.get(Obtain(WANT), BOT)) for _ in range(50)]
    await server.gate.reached()
    server.gate.open()

    assert {Obtained("token-1", kept=False)} == set(await asyncio.gather(*asking))
    assert [(WANT, BOT)] == server.asked


async def test_a_waiter_that_leaves_takes_nobody_along(clock: Clock) -> None:
    server = Server()
    tokens = Tokens("hub", BriefMemory(clock), server)
    leaver = asyncio.create_task(tokens.get(Obtain(WANT), BOT))
    await server.gate.reached()
    stayer = asyncio.create_task(tokens.get(Obtain(WANT), BOT))
    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    server.gate.open()

    assert Obtained("token-1", kept=False) == await stayer


async def test_a_failure_is_not_kept(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    server.down = True
    tokens = Tokens("hub", BriefMemory(clock), server)
    with pytest.raises(Outage):
        await tokens.get(Obtain(WANT), BOT)
    server.down = False

    assert Obtained("token-2", kept=False) == await tokens.get(Obtain(WANT), BOT)


async def test_a_stale_token_is_not_given_again_and_a_newer_one_is(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    tokens = Tokens("hub", BriefMemory(clock), server)
    first = await tokens.get(Obtain(WANT), BOT)
    second = await tokens.get(Obtain(WANT, stale=first.token), BOT)
    late = await tokens.get(Obtain(WANT, stale=first.token), BOT)

    assert [Obtained("token-1", kept=False), Obtained("token-2", kept=False)] == [first, second]
    assert Obtained("token-2", kept=True) == late


async def test_a_stale_token_is_given_to_nobody_while_its_server_is_down(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    tokens = Tokens("hub", BriefMemory(clock), server)
    first = await tokens.get(Obtain(WANT), BOT)
    server.down = True
    with pytest.raises(Outage):
        await tokens.get(Obtain(WANT, stale=first.token), BOT)
    server.down = False

    assert Obtained("token-3", kept=False) == await tokens.get(Obtain(WANT), BOT)


async def test_a_stale_token_that_has_ended_meanwhile_is_renewed(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    tokens = Tokens("hub", BriefMemory(clock), server)
    first = await tokens.get(Obtain(WANT), BOT)
    clock.advance(60.0)

    assert Obtained("token-2", kept=False) == await tokens.get(Obtain(WANT, stale=first.token), BOT)


async def test_tokens_are_kept_apart_by_account_and_scope(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    tokens = Tokens("hub", BriefMemory(clock), server)
    wants = [
        (WANT, BOT),
        (WANT, None),
        (WANT, Account("bot", "rotated")),
        (TokenWant(WANT.realm, WANT.service, "repository:other:pull"), BOT),
        (TokenWant("https://other.test/token", WANT.service, WANT.scope), BOT),
    ]
    given = [await tokens.get(Obtain(want), account) for want, account in wants]

    assert len(wants) == len(set(given))


async def test_a_token_ends_by_the_clock(clock: Clock) -> None:
    server = Server()
    server.gate.open()
    tokens = Tokens("hub", BriefMemory(clock), server)
    await tokens.get(Obtain(WANT), BOT)
    clock.advance(59)
    kept = await tokens.get(Obtain(WANT), BOT)
    clock.advance(2)

    assert Obtained("token-1", kept=True) == kept
    assert Obtained("token-2", kept=False) == await tokens.get(Obtain(WANT), BOT)
