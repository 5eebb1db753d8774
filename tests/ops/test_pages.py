"""The gateway's own pages, as anybody may ask for them who reaches its address."""

import asyncio
import time

import aiohttp

from apprproxy.core.errors import Crowded
from apprproxy.face.door import Door
from apprproxy.ops.pages import OpsPages
from tests.fakes.clock import until
from tests.fakes.listening import listening

CLIENTS = 20


async def test_who_asks_at_the_same_time_is_told_the_same_metrics() -> None:
    """Of each that takes nothing its own text would be held: two thousand of them would have a quarter of a GiB."""
    made = 0

    def metrics() -> bytes:
        nonlocal made
        made += 1
        time.sleep(0.05)  # they all come meanwhile
        return b"metric %d\n" % made

    pages = OpsPages(lambda: None, lambda: "", metrics, "")
    door = Door((pages,), "1", 5, lambda _: None, lambda _: None)
    async with listening(door) as url, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def ask() -> bytes:
            async with client.get(f"{url}/metrics") as answer:
                return await answer.read()

        alone = [await ask() for _ in range(3)]
        together = await asyncio.gather(*[ask() for _ in range(CLIENTS)])

    assert len(set(alone)) == 3, "who asks alone is told what has been counted by now"
    assert len(set(together)) <= 2, "one, or two where the second changed amid them"


async def test_who_does_not_take_them_keeps_nobody_from_newer_ones() -> None:
    made = 0

    def metrics() -> bytes:
        nonlocal made
        made += 1
        return b"metric %d\n" % made + b"#" * 20_000_000  # more than the system takes for a client that reads nothing

    pages = OpsPages(lambda: None, lambda: "", metrics, "")
    door = Door((pages,), "1", 5, lambda _: None, lambda _: None)
    now = asyncio.get_running_loop().time
    async with listening(door) as url, aiohttp.ClientSession() as client, client.get(f"{url}/metrics"):
        second = int(now())
        await until(lambda: int(now()) > second)
        async with client.get(f"{url}/metrics") as answer:
            newer = await answer.content.readline()

    assert b"metric 2\n" == newer


async def test_a_page_that_is_refused_has_the_fields_that_its_status_asks_for() -> None:
    """RFC 9110, sections 15.5.6 and 10.2.3."""

    def crowded() -> bytes:
        raise Crowded("too many ask", 10)

    pages = OpsPages(lambda: None, lambda: "", crowded, "")
    door = Door((pages,), "1", 5, lambda _: None, lambda _: None)
    async with listening(door) as url, aiohttp.ClientSession() as client:
        async with client.post(f"{url}/readyz") as answer:
            not_allowed = answer.status, answer.headers.get("Allow")
        async with client.get(f"{url}/metrics") as answer:
            come_back = answer.status, answer.headers.get("Retry-After")

    assert (405, "GET, HEAD") == not_allowed
    assert (503, "11") == come_back
