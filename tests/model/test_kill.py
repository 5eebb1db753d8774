"""Servers are killed in the middle of filling their cache, fifty times: nothing wrong is ever visible, what had
come is continued, and who asks next, or asks the server that lives on, gets the right bytes."""

import asyncio
import random
from pathlib import Path

from aiohttp import web

from tests.fakes.clock import until
from tests.fakes.content import digest, some_bytes
from tests.fakes.lies import Honest
from tests.fakes.ranged import part_of
from tests.fakes.registry import Registry
from tests.model.held import Directory
from tests.model.nursery import Nursery, nursery
from tests.model.server import BROKEN, Server

KILLS = 50
ROUNDS = 200
SIZE = 3 << 20
AT_ONCE = 3
CAP = 64 << 20
_PIECE = 1 << 16


class Owner(Registry):
    """Sends slowly enough for a kill to come in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.on["GET blob"] = self._slowly

    async def _slowly(self, request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        part, _ = part_of(request, honest)
        response = web.StreamResponse(status=part.status, headers=part.headers)
        response.content_length = len(part.body)
        await response.prepare(request)
        for at in range(0, len(part.body), _PIECE):
            await response.write(part.body[at : at + _PIECE])
            await asyncio.sleep(0.001)
        await response.write_eof()
        return response

    def asked(self, wanted: str) -> list[str]:
        """The Range of each GET of a blob."""
        gets = (one for one in self.seen if one.method == "GET" and one.target.endswith(wanted))
        return [one.headers.get("range", "") for one in gets]


class Tally:
    """What the report counts."""

    kills = 0
    hits = 0
    continued = 0
    survived = 0


class Fleet:
    """Two servers on one cache directory, and blobs that are new, or were left half way."""

    def __init__(self, owner: Owner, nursery: Nursery, folder: Path) -> None:
        self.owner = owner
        self.cache = Directory(folder / "cache")
        self.tally = Tally()
        self.chance = random.Random(5)
        self.left: dict[str, int] = {}
        self._blobs: dict[str, bytes] = {}
        settings = {
            "cache": {"directory": str(folder / "cache"), "max_size": "64MiB"},
            "delivery": {"patience": "0s"},
            "upstreams": {"hub": {"kind": "oci", "url": owner.url}},
        }
        self.servers = [Server(nursery, folder, name, settings) for name in ("a", "b")]

    def blob(self) -> str:
        """One that nobody has asked for."""
        content = some_bytes(SIZE, seed=f"{len(self._blobs)}.")
        wanted = self.owner.add_blob("library/app", content)
        self._blobs[wanted] = content
        return wanted

    async def pull(self, server: Server, wanted: str) -> bool:
        """Was it answered to the end? Then it was right."""
        answer = await server.pull(f"/v2/hub/library/app/blobs/{wanted}")
        if answer == BROKEN:
            return False
        assert (200, digest(answer[1])) == (answer[0], wanted)
        return True

    async def round(self) -> None:
        """Both servers are asked, one is killed at any moment, and the other goes on."""
        wanted = [*self.left, *(self.blob() for _ in range(AT_ONCE))][: AT_ONCE + 1]
        there = self.cache.partials()
        victim, survivor = self.chance.sample(self.servers, 2)
        before = {one: (len(self.owner.asked(one)), self.left.get(one, 0)) for one in wanted}
        moment = self.chance.randrange(len(wanted) * SIZE)
        pulls = [asyncio.create_task(self.pull(victim, one)) for one in wanted]
        late = self.chance.choice(wanted)
        await until(lambda: sum(self._grown(there).values()) > moment or all(pull.done() for pull in pulls))
        following = asyncio.create_task(self.pull(survivor, late)) if self.chance.random() < 0.5 else None
        grown = self._grown(there)
        await victim.kill()  # at once: nothing else has run since
        self.tally.kills += 1
        self.tally.hits += bool(grown)
        await asyncio.gather(*pulls)
        if following is not None:
            assert await following
            self.tally.survived += 1
        self._look(before)
        await victim.begin()

    def _grown(self, there: dict[str, int]) -> dict[str, int]:
        """By how much each partial has, since it was looked at."""
        now = self.cache.partials()
        return {name: now[name] - there.get(name, 0) for name in now if now[name] > there.get(name, 0)}

    def _look(self, before: dict[str, tuple[int, int]]) -> None:
        """Everything that is visible is right, and what was continued was continued where it had come to."""
        held = self.cache.blobs()
        assert self.cache.used() <= CAP
        for one, (asked, had) in before.items():
            spans = self.owner.asked(one)[asked:]
            if had and spans:
                assert f"bytes={had}-" == spans[0]
                self.tally.continued += 1
        self.left = {one: size for one in before if one not in held and (size := self.cache.partial(one))}


async def test_whatever_a_kill_hits_nothing_wrong_is_visible_and_what_had_come_is_continued(tmp_path: Path) -> None:
    with nursery() as nest:
        async with Owner() as owner:
            fleet = Fleet(owner, nest, tmp_path)
            try:
                await asyncio.gather(*(server.begin() for server in fleet.servers))
                while fleet.tally.hits < KILLS and fleet.tally.kills < ROUNDS:
                    await fleet.round()
                pulls = [
                    await fleet.pull(server, one) for one in (*fleet.left, fleet.blob()) for server in fleet.servers
                ]
            finally:
                await asyncio.gather(*(server.end() for server in fleet.servers))
    tally = fleet.tally
    print(
        f"{tally.kills} kills, {tally.hits} of them hit a running fill; {tally.continued} transfers were continued by "
        f"Range, {tally.survived} pulls at the other server went on; {len(fleet.cache.blobs())} blobs held, all right"
    )

    assert KILLS <= tally.hits
    assert all(pulls)
    assert 0 < tally.continued
    assert 0 < tally.survived
