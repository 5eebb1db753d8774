"""What questions bring does not fill the memory while it waits to be taken apart, and small questions do not wait."""

import asyncio
import threading
import tracemalloc
from dataclasses import replace

from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.model import MAX_DOCUMENT, MIB, Descriptor, Found
from apprproxy.core.ports.upstream import Plan, Request
from apprproxy.gateway.members.health import FOR_OWNERS
from apprproxy.gateway.members.member import Member, ask
from apprproxy.gateway.members.pile import ROOM, piled
from tests.fakes.clock import Clock, Gate, until
from tests.fakes.lies import Honest, headers_then, honestly
from tests.fakes.listening import listening
from tests.fakes.members import member_of
from tests.fakes.sources import watched

FOUND = Found(Descriptor(Digest.of(b""), 0, "application/json"))
LONG, SHORT = "/long", "/short"


class Answers:
    """A long one or a short one; counts them."""

    def __init__(self) -> None:
        self.long = bytes(MAX_DOCUMENT)
        self.begun = self.under_way = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.begun += 1
        self.under_way += 1
        try:
            return await honestly(request, Honest(200, self.long if request.path == LONG else b"{}"))
        finally:
            self.under_way -= 1


async def asked(member: Member, path: str, done: threading.Event) -> Found:
    """It is taken apart when that is done."""

    def plan() -> Plan[Found]:
        yield Request("GET", path)
        done.wait(30)
        return FOUND

    async with piled(member.desk.room) as pile:
        return await ask(member, plan(), pile)


async def test_long_answers_that_wait_to_be_read_are_not_held_however_many_ask() -> None:
    answers, count = Answers(), 4 * ROOM // MAX_DOCUMENT
    done, at_once = threading.Event(), threading.Event()
    at_once.set()
    tracemalloc.start()
    try:
        async with listening(answers) as url, watched(url, FOR_OWNERS, Clock(), connections=2) as upstream:
            member = replace(member_of("hub"), upstream=upstream)
            questions = [asyncio.create_task(asked(member, LONG, done)) for _ in range(count)]
            try:
                await until(lambda: answers.begun >= count and not answers.under_way)
                held, _ = tracemalloc.get_traced_memory()

                assert FOUND == await asked(member, SHORT, at_once)
            finally:
                done.set()

            assert [FOUND] * count == await asyncio.gather(*questions)
    finally:
        tracemalloc.stop()

    assert ROOM + 2 * MAX_DOCUMENT > held
    assert count < answers.begun


async def test_lists_for_which_there_is_room_are_asked_for_once_however_slowly_they_come() -> None:
    answers, gate, done = Answers(), Gate(), threading.Event()
    answers.long, count = bytes(MIB), ROOM // MIB // 2

    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        answers.begun += 1
        return await headers_then(gate)(request, Honest(200, answers.long))

    async with listening(slowly) as url, watched(url, FOR_OWNERS, Clock(), connections=count) as upstream:
        member = replace(member_of("hub"), upstream=upstream)
        questions = [asyncio.create_task(asked(member, LONG, done)) for _ in range(count)]
        await gate.reached(count)
        gate.open()
        done.set()

        assert [FOUND] * count == await asyncio.gather(*questions)
    assert count == answers.begun


async def test_more_than_there_is_room_for_waits_for_as_much_as_it_needs() -> None:
    answers, done = Answers(), threading.Event()
    answers.long = bytes(2 * MIB)
    async with listening(answers) as url, watched(url, FOR_OWNERS, Clock()) as upstream:
        member = replace(member_of("hub"), upstream=upstream)
        assert member.desk.room.grow(ROOM - MIB)
        question = asyncio.create_task(asked(member, LONG, done))
        await until(lambda: answers.begun == 1)
        done.set()
        await asyncio.sleep(0.05)
        waited = not question.done()
        member.desk.room.give(MIB)

        assert FOUND == await question
    assert (True, 2) == (waited, answers.begun)
