"""What one upstream answers is taken apart where it holds up nobody else."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from apprproxy.core.digest import Digest
from apprproxy.core.model import Descriptor, Found
from apprproxy.core.ports.upstream import Plan, Request
from apprproxy.core.reading import LARGE
from apprproxy.gateway.members.health import FOR_OWNERS
from apprproxy.gateway.members.member import Member, ask
from apprproxy.gateway.members.pile import piled
from tests.fakes.clock import Clock
from tests.fakes.lies import Honest, honestly
from tests.fakes.listening import listening
from tests.fakes.members import member_of
from tests.fakes.sources import watched

FOUND = Found(Descriptor(Digest.of(b""), 0, "application/json"))


@asynccontextmanager
async def answering(size: int) -> AsyncIterator[Member]:
    """An upstream whose answers are so long."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await honestly(request, Honest(200, b"x" * size))

    async with listening(answer) as url, watched(url, FOR_OWNERS, Clock()) as upstream:
        yield replace(member_of("hub"), upstream=upstream)


def reading(pages: int, threads: list[int]) -> Plan[Found]:
    """Notes where it is told of each page."""
    for _ in range(pages):
        yield Request("GET", "/")
        threads.append(threading.get_ident())
    return FOUND


@pytest.mark.parametrize(("size", "beside"), [(LARGE, [True] * 3), (LARGE // 2, [False, True, True])])
async def test_pages_that_are_long_together_are_taken_apart_beside_everything_else(
    size: int, beside: list[bool]
) -> None:
    """It may be the last and smallest of them, behind which all are read."""
    threads: list[int] = []
    async with answering(size) as member, piled(member.desk.room) as pile:
        assert FOUND == await ask(member, reading(3, threads), pile)

    assert beside == [thread != threading.get_ident() for thread in threads]
