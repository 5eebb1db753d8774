"""A source that is shut is not asked, and what counts as trouble is what says that it is away."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from apprproxy.core.answers import answer_of
from apprproxy.core.errors import Busy, Outage, Shut, Throttled, TooSlow, Unauthorized, Unreachable, UpstreamFault
from apprproxy.core.events import Event, SourceOpened, SourceShut, Trouble
from apprproxy.core.ports.upstream import Lane, Request
from apprproxy.gateway.members.health import FOR_MIRRORS, FOR_OWNERS
from apprproxy.gateway.members.watched import Watched
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate
from tests.fakes.lies import Behaviour
from tests.fakes.listening import dead_end
from tests.fakes.raw import answering
from tests.fakes.registry import Registry
from tests.fakes.sources import QUICK, recorder, watched

ASK = Request("GET", "/v2/library/app/tags/list")
BLOB = Request("GET", "/v2/library/app/blobs/sha256:0", lane=Lane.BLOBS)
WRITE = Request("POST", "/api", body=b"x", as_caller=True)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_status_of_whoever_stands_before_it_is_trouble(registry: Registry, clock: Clock, status: int) -> None:
    registry.on["tags"] = lies.says(status)
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        with suppress(Throttled):
            await answer_of(source, ASK)
        with pytest.raises(Shut, match=f"answered {status}"):
            await answer_of(source, ASK)

    assert 1 == registry.count()


@pytest.mark.parametrize(
    "behaviour",
    [lies.says(status) for status in (200, 400, 401, 403, 404, 429, 500, 501)]
    + [lies.page(404), lies.zipped, lies.redirects("http://10.0.0.1/"), lies.redirects("/v2/library/app/tags/list")],
    ids=["200", "400", "401", "403", "404", "429", "500", "501", "page", "coded", "inner redirect", "redirect loop"],
)
async def test_any_other_answer_shuts_nobody_out(registry: Registry, clock: Clock, behaviour: Behaviour) -> None:
    registry.on["tags"] = behaviour
    told: list[Event] = []
    async with watched(registry.url, FOR_OWNERS, clock, told) as source:
        for _ in range(5):
            try:
                await answer_of(source, ASK)
            except Shut:
                pytest.fail("it is shut")
            except UpstreamFault:
                pass

    assert [] == [event for event in told if isinstance(event, SourceShut)]


async def test_answers_that_are_no_http_shut_nobody_out(clock: Clock) -> None:
    async with answering(b"220 mail.corp ESMTP\r\n\r\n") as url, watched(url, FOR_MIRRORS, clock) as source:
        for _ in range(3):
            with pytest.raises(Outage, match="did not answer in HTTP"):
                await answer_of(source, ASK)


async def test_a_refused_connection_is_trouble(clock: Clock) -> None:
    async with dead_end() as nowhere, watched(nowhere, FOR_MIRRORS, clock) as source:
        with pytest.raises(Unreachable):
            await answer_of(source, ASK)
        with pytest.raises(Shut, match="no connection"):
            await answer_of(source, ASK)


async def test_a_name_that_is_not_resolved_is_trouble(clock: Clock) -> None:
    async with watched("http://no-such-host.invalid", FOR_MIRRORS, clock) as source:
        with pytest.raises(Unreachable):
            await answer_of(source, ASK)
        with pytest.raises(Shut, match="cannot be resolved"):
            await answer_of(source, ASK)


async def test_failing_tls_is_trouble(registry: Registry, clock: Clock) -> None:
    async with watched(registry.url.replace("http://", "https://"), FOR_MIRRORS, clock) as source:
        with pytest.raises(Unreachable):
            await answer_of(source, ASK)
        with pytest.raises(Shut):
            await answer_of(source, ASK)


@pytest.mark.parametrize("behaviour", [lies.hangs_up, lies.waiting_for(Gate())], ids=["hangs up", "hangs"])
async def test_no_headers_are_trouble(registry: Registry, clock: Clock, behaviour: Behaviour) -> None:
    registry.on["tags"] = behaviour
    async with watched(registry.url, FOR_MIRRORS, clock, line=QUICK) as source:
        with pytest.raises((Unreachable, TooSlow)):
            await answer_of(source, ASK)
        with pytest.raises(Shut):
            await answer_of(source, ASK)


@pytest.mark.parametrize("behaviour", [lies.cut_off(3), lies.headers_then(Gate())], ids=["cut off", "stalled"])
async def test_a_body_that_does_not_come_is_trouble(registry: Registry, clock: Clock, behaviour: Behaviour) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = behaviour
    async with watched(registry.url, FOR_MIRRORS, clock, line=QUICK) as source:
        with pytest.raises((Unreachable, TooSlow)):
            await answer_of(source, ASK)
        with pytest.raises(Shut):
            await answer_of(source, ASK)


async def test_bodies_that_keep_breaking_off_shut_an_owner_although_its_headers_come(
    registry: Registry, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = lies.cut_off(3)
    async with watched(registry.url, FOR_OWNERS, clock) as source:
        for _ in range(3):
            with pytest.raises(Unreachable):
                await answer_of(source, ASK)
        with pytest.raises(Shut):
            await answer_of(source, ASK)

    assert 3 == registry.count()


async def test_what_a_source_that_is_away_says_can_still_be_read(registry: Registry, clock: Clock) -> None:
    registry.on["tags"] = lies.page(502)
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        reply = await answer_of(source, ASK)

    assert b"Sorry" in reply.body


# --- callers that give up


async def test_a_caller_that_gives_up_before_the_headers_is_trouble(registry: Registry, clock: Clock) -> None:
    gate = Gate()
    registry.on["tags"] = lies.waiting_for(gate)
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        task = asyncio.create_task(answer_of(source, ASK))
        await gate.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Shut, match="no answer in time"):
            await answer_of(source, ASK)


async def gives_up_on_the_body(source: Watched) -> None:
    came = asyncio.Event()

    async def wait_for_the_body() -> None:
        async with source.open(ASK) as incoming:
            came.set()
            async for _ in incoming.chunks():
                pass

    task = asyncio.create_task(wait_for_the_body())
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_caller_that_gives_up_after_the_headers_is_trouble_too(registry: Registry, clock: Clock) -> None:
    """A source that drips its answer would be waited for by everybody, each time anew."""
    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = lies.headers_then(Gate())
    async with watched(registry.url, FOR_OWNERS, clock) as source:
        for _ in range(3):
            await gives_up_on_the_body(source)
        with pytest.raises(Shut, match="no whole answer in time"):
            await answer_of(source, ASK)


async def test_a_caller_that_gives_up_early_is_nothing(registry: Registry, clock: Clock) -> None:
    """The last of many pages that took too long together may have come at once."""
    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = lies.headers_then(Gate())
    async with watched(registry.url, FOR_MIRRORS, clock, late=60.0) as source:
        await gives_up_on_the_body(source)
        registry.on.clear()

        assert 200 == (await answer_of(source, ASK)).status


async def test_a_flight_that_gives_somebody_else_the_turn_is_nothing(registry: Registry, clock: Clock) -> None:
    gate = Gate()
    registry.on["tags"] = lies.in_turn(lies.waiting_for(gate), lies.honestly)
    registry.push("library/app", "1.0", b"layer")
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        task = asyncio.create_task(answer_of(source, replace(ASK, in_turn=True)))
        await gate.reached()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 200 == (await answer_of(source, ASK)).status


async def test_clients_that_break_off_their_writes_shut_nobody_out(registry: Registry, clock: Clock) -> None:
    gate = Gate()
    registry.on["other"] = lies.waiting_for(gate)
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        for number in range(5):
            task = asyncio.create_task(answer_of(source, WRITE))
            await gate.reached(number + 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        assert 404 == (await answer_of(source, ASK)).status


async def test_a_cancelled_probe_does_not_leave_the_circuit_half_open(registry: Registry, clock: Clock) -> None:
    gate = Gate()
    registry.on["other"], registry.on["tags"] = lies.waiting_for(gate), lies.hangs_up
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        with pytest.raises(Unreachable):
            await answer_of(source, ASK)
        clock.advance(2)
        probe = asyncio.create_task(answer_of(source, WRITE))
        await gate.reached()
        with pytest.raises(Shut, match="one request looks whether it is back"):
            await answer_of(source, ASK)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        registry.on.clear()

        assert 404 == (await answer_of(source, ASK)).status


# --- the way back


async def test_one_probe_at_a_time_and_all_once_it_is_answered(registry: Registry, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"layer")
    registry.on["tags"] = lies.says(503)
    told: list[Event] = []
    async with watched(registry.url, FOR_MIRRORS, clock, told) as source:
        with pytest.raises(Throttled):
            await answer_of(source, ASK)
        gate = Gate()
        registry.on["tags"] = lies.waiting_for(gate)
        clock.advance(2)
        probe = asyncio.create_task(answer_of(source, ASK))
        await gate.reached()
        refused = await asyncio.gather(*(answer_of(source, ASK) for _ in range(20)), return_exceptions=True)
        gate.open()
        await probe
        registry.on.clear()
        answers = await asyncio.gather(*(answer_of(source, ASK) for _ in range(20)))

    assert {Shut} == {type(one) for one in refused}
    assert {200} == {one.status for one in answers}
    assert [SourceShut, SourceOpened] == [type(one) for one in told if isinstance(one, (SourceShut, SourceOpened))]


async def test_a_refused_credential_is_an_answer_and_ends_a_penalty(registry: Registry, clock: Clock) -> None:
    registry.on["tags"] = lies.says(503)
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        with pytest.raises(Throttled):
            await answer_of(source, ASK)
        clock.advance(2)
        registry.on["tags"] = lies.says(401)
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await answer_of(source, ASK)


async def test_a_body_may_be_left_unread(registry: Registry, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"layer")
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        for _ in range(3):
            async with source.open(ASK) as incoming:
                assert 200 == incoming.status


async def test_what_its_reader_says_of_the_bytes_is_not_the_lines_fault(registry: Registry, clock: Clock) -> None:
    registry.push("library/app", "1.0", b"layer")
    async with watched(registry.url, FOR_MIRRORS, clock) as source:
        for _ in range(3):
            with pytest.raises(Outage, match="longer than it should be"):
                async with source.open(ASK):
                    raise Outage("hub", "longer than it should be")


async def test_who_waits_for_one_of_our_own_connections_is_no_trouble_of_the_source(
    registry: Registry, clock: Clock
) -> None:
    gate = Gate()
    registry.on["tags"] = lies.waiting_for(gate)
    async with watched(registry.url, FOR_MIRRORS, clock, connections=1, patience=0.2) as source:
        first = asyncio.create_task(answer_of(source, ASK))
        await gate.reached()
        with pytest.raises(Busy, match="all connections"):
            await answer_of(source, ASK)
        leaving = asyncio.create_task(answer_of(source, ASK))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        gate.open()

        assert 404 == (await first).status
        assert 404 == (await answer_of(source, ASK)).status


async def test_who_waited_long_for_one_of_our_own_connections_says_so(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apprproxy.gateway.members.watched.LONG", 0.1)
    told, gate = list[Event](), Gate()
    registry.on["tags"] = lies.in_turn(lies.waiting_for(gate), lies.honestly)
    async with watched(registry.url, FOR_MIRRORS, clock, connections=1, observer=recorder(told)) as source:
        asking = [asyncio.create_task(answer_of(source, ASK)) for _ in range(2)]
        await gate.reached()
        await asyncio.sleep(0.2)
        gate.open()
        await asyncio.gather(*asking)
        await answer_of(source, ASK)

    assert [("busy", "hub", ASK.about)] == [
        (one.what, one.upstream, one.name) for one in told if isinstance(one, Trouble)
    ]
