"""Whom an upstream lets in: nobody in particular, whoever has the password, or whoever brings a token."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.upstream.auth import MAX_LIFE, Account, NotAToken, Obtain, Obtained, Try, dance, read_token
from apprproxy.upstream.challenge import Challenge
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lock import Bearer, Password, basic
from tests.fakes.registry import Registry

TAG = "/v2/hub/library/app/manifests/1.0"
ACCOUNT = {"username": "bot", "password": "s3cret"}


@pytest.fixture
async def tokens() -> AsyncIterator[Registry]:
    """A registry that wants a token, which it gives to everybody."""
    async with Registry(Bearer()) as registry:
        registry.push("library/app", "1.0", b"layer")
        yield registry


def lock_of(registry: Registry) -> Bearer:
    assert isinstance(registry.lock, Bearer)
    return registry.lock


async def pull(gateway: Running) -> int:
    return (await gateway.get(TAG)).status


async def test_no_authorization_goes_where_none_is_wanted(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})

    assert 200 == await pull(gateway)
    assert not any("authorization" in seen.headers for seen in registry.seen)


async def test_basic_is_answered_with_the_password(gateways: Gateways) -> None:
    async with Registry(Password()) as registry:
        registry.push("library/app", "1.0", b"layer")
        gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})

        assert 200 == await pull(gateway)
        assert 3 == registry.count()  # the challenge is heard once: HEAD, HEAD again, GET
        assert basic("bot", "s3cret") == registry.seen[-1].headers["authorization"]


async def test_a_token_is_fetched_once_and_used(tokens: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": tokens})

    assert 200 == await pull(gateway)
    assert ["tag", "token", "tag", "manifest"] == [seen.kind for seen in tokens.seen]
    assert "/token?service=fake&scope=repository%3Alibrary%2Fapp%3Apull" == tokens.seen[1].target
    assert "authorization" not in tokens.seen[1].headers


async def test_a_token_server_that_has_moved_is_heard_of_after_one_failure(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.lock = elsewhere = Bearer()
    async with Registry(Bearer(realm=f"{registry.url}/token", valid=elsewhere.valid)) as moving:
        for tag in ("1.0", "2.0"):
            moving.push("library/app", tag, b"layer")
        realms = [registry.url.removeprefix("http://")]
        gateway = await gateways.start({"hub": oci(moving, auth={**ACCOUNT, "realms": realms})})
        first = await pull(gateway)
        await registry.stop()
        lock_of(moving).realm = ""
        lock_of(moving).expire()
        clock.advance(MAX_LIFE)
        then = [(await gateway.get(TAG.replace("1.0", "2.0"))).status for _ in range(2)]

        assert [200, 502, 200] == [first, *then]


def test_a_password_that_was_refused_is_not_sent_again_to_whoever_asks_for_it() -> None:
    """Some count refusals, and lock the account."""
    steps = dance(Account("bot", "s3cret"), "", None, unasked=True)

    assert Try(basic("bot", "s3cret"), presented=True) == next(steps)
    with pytest.raises(StopIteration):
        steps.send([Challenge("basic", ())])


@pytest.mark.parametrize(("kept", "scope", "again"), [(True, "", 1), (False, "", 0), (False, "other", 1)])
def test_after_a_fresh_token_that_was_refused_only_one_for_something_else_is_asked_for(
    kept: bool, scope: str, again: int
) -> None:
    known = Challenge("bearer", (("realm", "https://t.test/token"), ("service", "s")))
    steps = dance(None, "repository:app:pull", known, unasked=False)
    next(steps)
    steps.send(Obtained("token-1", kept))
    challenge, asked = Challenge("bearer", (*known.parameters, *([("scope", scope)] if scope else []))), 0
    with suppress(StopIteration):
        step: object = steps.send([challenge])
        while True:
            asked += isinstance(step, Obtain)
            step = steps.send(Obtained("token-2", kept=False) if isinstance(step, Obtain) else [challenge])

    assert again == asked


async def test_the_password_goes_to_the_token_server_only(gateways: Gateways) -> None:
    async with Registry(Bearer(password="s3cret")) as registry:
        registry.push("library/app", "1.0", b"layer")
        gateway = await gateways.start({"hub": oci(registry, auth=ACCOUNT)})

        assert 200 == await pull(gateway)
        for seen in registry.seen:
            assert ("token" == seen.kind) == (basic("bot", "s3cret") == seen.headers.get("authorization"))


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="{realm}",service="fake",scope="{scope}"',
        "Bearer realm={realm},service=fake,scope={scope}",
        'bearer Realm="{realm}" , Service="fake"',
        'Basic realm="registry", Bearer realm="{realm}",service="fake",scope="{scope}"',
        'Negotiate, Bearer scope="{scope}",realm="{realm}", Basic realm="x, y"',
        'Digest realm="a\\"b", nonce="c=", Bearer realm="{realm}"',
    ],
)
@pytest.mark.parametrize("key", ["token", "access_token"])
async def test_the_challenges_of_real_servers_are_understood(gateways: Gateways, challenge: str, key: str) -> None:
    async with Registry(Bearer(challenge=challenge, key=key)) as registry:
        registry.push("library/app", "1.0", b"layer")
        gateway = await gateways.start({"hub": registry})

        assert 200 == await pull(gateway)
        assert 1 == lock_of(registry).issued


async def test_many_cold_pulls_cost_one_token_request(tokens: Registry, gateways: Gateways) -> None:
    blobs = [tokens.add_blob("library/app", f"layer {number}".encode()) for number in range(50)]
    gate = Gate()
    tokens.on["token"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(tokens, connections=64)})
    asking = [asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{one}")) for one in blobs]
    await gate.reached()
    gate.open()

    assert {200} == {answer.status for answer in await asyncio.gather(*asking)}
    assert 1 == tokens.count("token")


async def test_a_token_is_renewed_shortly_before_it_ends(tokens: Registry, gateways: Gateways, clock: Clock) -> None:
    lock_of(tokens).answer = {"expires_in": 100}
    gateway = await gateways.start({"hub": oci(tokens, fresh_for="1s")})
    await pull(gateway)
    clock.advance(80)
    await pull(gateway)
    kept = tokens.count("token")
    clock.advance(15)
    await pull(gateway)

    assert 1 == kept
    assert 2 == tokens.count("token")


async def test_a_refused_token_is_dropped_once_and_renewed(tokens: Registry, gateways: Gateways) -> None:
    wanted = tokens.add_blob("library/app", b"blob")
    gateway = await gateways.start({"hub": tokens})
    await pull(gateway)
    lock_of(tokens).expire()

    assert 200 == (await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")).status
    assert 2 == tokens.count("token")


async def test_a_registry_that_refuses_every_token_is_asked_a_bounded_number_of_times(
    tokens: Registry, gateways: Gateways
) -> None:
    gateway = await gateways.start({"hub": tokens})
    await pull(gateway)
    tokens.on["blob"] = lies.says(401, WWW_Authenticate=f'Bearer realm="{tokens.url}/token"')
    failed = await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'blob')}")

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 2 == tokens.count("blob")
    assert 2 == tokens.count("token")


async def test_tokens_are_kept_apart_by_repository(tokens: Registry, gateways: Gateways) -> None:
    tokens.push("library/more", "1.0", b"layer")
    gateway = await gateways.start({"hub": tokens})
    await pull(gateway)
    await gateway.get("/v2/hub/library/more/manifests/1.0")

    assert 2 == tokens.count("token")
    assert "more" in [seen for seen in tokens.seen if seen.kind == "token"][-1].target


async def test_a_token_in_pieces_is_put_together(tokens: Registry, gateways: Gateways) -> None:
    lock_of(tokens).answer = {"expires_in": 300, "padding": "x" * 5000}
    tokens.on["token"] = lies.in_pieces(4)
    gateway = await gateways.start({"hub": tokens})

    assert 200 == await pull(gateway)


@pytest.mark.parametrize(
    "lie",
    [
        lies.says(500),
        lies.page(200),
        lies.page(404),
        lies.says(200, b'{"token": ""}'),
        lies.says(200, b'{"token": "two words"}'),
        lies.says(200, b'{"token": "x", "expires_in": 1' + b"0" * 400 + b"}"),
        lies.says(200, b"[" * 50_000),
        lies.redirects("http://127.0.0.1:1/token"),
        lies.hangs_up,
    ],
    ids=["500", "HTML", "HTML 404", "empty", "blank", "endless life", "deep", "redirect", "hangs up"],
)
async def test_a_failing_token_server_is_an_outage(
    tokens: Registry, gateways: Gateways, clock: Clock, lie: lies.Behaviour
) -> None:
    gateway = await gateways.start({"hub": oci(tokens, stale_for="1h")})
    await pull(gateway)
    clock.advance(3000)
    lock_of(tokens).expire()
    tokens.on["token"] = lie
    stale = await gateway.get(TAG)
    other = await gateway.get("/v2/hub/library/other/manifests/1.0")

    assert 200 == stale.status
    assert "stale-if-error" in stale.cache
    assert (502, "UNAVAILABLE") == (other.status, other.code)


async def test_who_was_silent_is_the_token_server_where_it_was(tokens: Registry, gateways: Gateways) -> None:
    tokens.on["token"] = lies.hangs_up
    gateway = await gateways.start({"hub": tokens})

    assert "hub: its token server 127.0.0.1: closed the connection" == (await gateway.get(TAG)).message


@given(st.binary() | st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.floats()).map(json.dumps))
def test_a_token_answer_is_a_bounded_token_or_none(answer: bytes | str) -> None:
    try:
        token = read_token(answer if isinstance(answer, bytes) else answer.encode())
    except NotAToken:
        return
    assert token.text.isprintable()
    assert 0 <= token.life <= MAX_LIFE


@pytest.mark.parametrize("life", ["NaN", '"nan"', "-1", "-Infinity"])
def test_a_token_of_no_life_is_not_kept(life: str) -> None:
    assert 0 == read_token(f'{{"token": "a", "expires_in": {life}}}'.encode()).life
