"""Whatever mirrors and another upstream send: nobody completes what is wrong, what an honest owner has is delivered, no
mirror is distrusted that sent nothing wrong, and nothing is left behind."""

import asyncio
import fcntl
import gc
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.laws import EXPLORING
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lies import Behaviour, Honest
from tests.fakes.ranged import by_range, lying_by_range, stopping_at
from tests.fakes.registry import Registry

SIZE, HALF = 400_000, 300_000
"""So much that some of the half is in the growing file before it breaks off."""
APP = "library/app"
LONG_AFTER = 3600.0 * 24 * 8
"""Seconds after which everybody is asked again, also who lied."""

Way = Callable[[bytes, Gate], Behaviour]
"""How to send these bytes, or others; who breaks off waits at the gate before."""


def spoilt(at: int) -> Behaviour:
    """One byte of what it sends is another one."""

    async def answer(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
        wrong = bytearray(honest.body)
        wrong[at] ^= 1
        return await by_range(request, replace(honest, body=bytes(wrong)))

    return answer


HONEST: dict[str, Way] = {
    "by range": lambda _, __: by_range,
    "without ranges": lambda _, __: lies.honestly,
    "without a length": lambda blob, _: lies.chunked(blob),
    "until it ends": lambda blob, _: lies.until_it_ends(blob),
}
UNSTEADY: dict[str, Way] = {
    "cut": lambda _, gate: stopping_at((HALF, gate), (HALF, None)),
    "cut without ranges": lambda _, gate: stopping_at((HALF, gate), (HALF, None), ranges=False),
    "ends too early": lambda blob, _: lies.until_it_ends(blob[:HALF]),
    "hangs up": lambda _, __: lies.hangs_up,
    "away": lambda _, __: lies.page(503),
    "lacks it": lambda _, __: lies.says(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}'),
}
LYING: dict[str, Way] = {
    "first byte": lambda _, __: spoilt(0),
    "last byte": lambda _, __: spoilt(-1),
    "less": lambda blob, _: lies.says(200, blob[:HALF]),
    "more": lambda blob, _: lies.says(200, blob + b"x"),
    "less without a length": lambda blob, _: lies.chunked(blob[:HALF]),
    "more without a length": lambda blob, _: lies.chunked(blob + b"x"),
    "another beginning": lambda _, __: lying_by_range(start=-1),
    "another total": lambda _, __: lying_by_range(total=1),
    "a wrong half": lambda blob, gate: stopping_at((HALF, gate), (HALF, None), body=bytes(len(blob))),
    "a half and another": lambda _, gate: lies.in_turn(stopping_at((HALF, gate), (HALF, None)), spoilt(-1)),
    "no such part": lambda _, __: lies.says(416, Content_Range=f"bytes */{HALF}"),
    "a page": lambda _, __: lies.page(200),
    "coded": lambda _, __: lies.zipped,
}
ANY = HONEST | UNSTEADY | LYING

ways = st.one_of(*(st.sampled_from(sorted(some)) for some in (HONEST, UNSTEADY, LYING)))
clients = st.tuples(st.sampled_from(["hub", "far", "all", "rev"]), st.sampled_from(["whole", "part", "end", "leaves"]))


class Arrived(Gate):
    """Opens once some has come: what an HTTP library has not handed over when a connection breaks is lost."""

    def __init__(self, gateway: Running) -> None:
        super().__init__()
        self._gateway = gateway

    async def __call__(self) -> None:
        with suppress(TimeoutError):  # nobody waits for it any more
            await until(lambda: self._gateway.arrived() > 0)


@dataclass(frozen=True, slots=True)
class Case:
    """How everybody behaves while the clients ask; the owner is honest after that. ``stated``: a manifest has told the
    size."""

    owner: str
    mirrors: tuple[str, str]
    far: str
    clients: Sequence[tuple[str, str]]
    stated: bool


cases = st.builds(Case, ways, st.tuples(ways, ways), ways, st.lists(clients, min_size=1, max_size=4), st.booleans())
deliveries = st.fixed_dictionaries(
    {"stream": st.sampled_from(["owner", "any", "never"]), "patience": st.sampled_from(["0s", "10s"])}
)


MIXTURES = [
    Case("by range", (first, second), "by range", [("hub", "whole")], stated=False)
    for first in ("cut", "a wrong half", "more without a length")
    for second in ("by range", "without ranges", "last byte", "no such part")
]
"""Where the second mirror goes on with what the first one left."""


class World:
    """``begin`` it in ``stack``. Every case has a blob of its own."""

    def __init__(self, stack: AsyncExitStack, folder: Path, delivery: dict[str, str]) -> None:
        self._stack = stack
        self._folder = folder
        self._delivery = delivery
        self._clock = Clock()
        self._sources = [Registry() for _ in range(4)]
        self._number = 0

    async def begin(self) -> None:
        owner, far, *mirrors = [await self._stack.enter_async_context(one) for one in self._sources]
        hub = oci(owner, mirrors=[{"url": one.url} for one in mirrors], missing_for="0s")
        self.gateway = await Gateways(self._folder, self._clock, self._stack).start(
            {"hub": hub, "far": oci(far, missing_for="0s")},
            views={"all": ["hub", "far"], "rev": ["far", "hub"]},
            delivery=self._delivery,
        )

    async def meets(self, case: Case) -> None:
        """Every law is tried while nobody is honest, and then with an honest owner."""
        self._number += 1
        blob, tag = some_bytes(SIZE, seed=f"{self._number} "), str(self._number)
        for one, how in zip(self._sources, (case.owner, case.far, *case.mirrors), strict=True):
            one.push(APP, tag, blob)
            one.on["GET blob"] = ANY[how](blob, Arrived(self.gateway))
        before = self._lies()
        if case.stated:
            await self.gateway.get(f"/v2/hub/{APP}/manifests/{tag}")
        await asyncio.gather(*(complete(self.gateway, blob, *client) for client in case.clients))
        await self._at_rest()
        self._clock.advance(LONG_AFTER)
        self._sources[0].on["GET blob"] = by_range
        tries = [await complete(self.gateway, blob, "hub", "whole") for _ in range(3)]
        await self._at_rest()

        assert tries[-1]
        assert tries[0] or self._delivery["stream"] != "never"  # else it may have been given what is wrong
        assert digest(blob) in self.gateway.blobs
        for how, lies_before, lies_now in zip(case.mirrors, before, self._lies(), strict=True):
            assert how in LYING or lies_before == lies_now
        self._clock.advance(LONG_AFTER)

    async def _at_rest(self) -> None:
        """What is visible is right, nobody fills what is not, and no file is open."""
        await self.gateway.at_rest()
        await until(lambda: not self.gateway.open_files)
        for path in (self.gateway.cache / "blobs").glob("sha256/*"):
            assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (self.gateway.cache / "ingest").glob("*.part"):
            assert path.with_suffix(".json").exists()
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _lies(self) -> list[int]:
        return [source.health._lies for source in self.gateway.app.members["hub"].mirrors]


async def complete(gateway: Running, blob: bytes, place: str, how: str) -> bool:
    """Was it answered to the end? Then it was right. What is broken off is no answer."""
    start, stop = {"part": (1000, 90_000), "end": (150_000, SIZE)}.get(how, (0, SIZE))
    headers = {"Range": f"bytes={start}-{stop - 1}"} if how in ("part", "end") else {}
    try:
        async with gateway.session.get(f"{gateway.url}/v2/{place}/{APP}/blobs/{digest(blob)}", headers=headers) as got:
            if how == "leaves" or got.status not in (200, 206):
                return False
            assert blob[start:stop] == await got.read()
            return True
    except aiohttp.ClientError:
        return False


async def meets_all(met: Sequence[Case], delivery: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            world = World(stack, Path(folder), delivery)
            await world.begin()
            stack.callback(gc.enable)
            gc.disable()  # whatever is in a cycle stays open
            for case in met:
                await world.meets(case)


@settings(max_examples=300 if EXPLORING else 4, derandomize=not EXPLORING, deadline=None)
@given(met=st.lists(cases, min_size=4, max_size=8), delivery=deliveries)
@example(met=MIXTURES, delivery={"stream": "owner", "patience": "0s"})
def test_an_owner_is_heard_and_nobody_blamed_for_others_whatever_these_send(
    met: Sequence[Case], delivery: dict[str, str]
) -> None:
    asyncio.run(meets_all(met, delivery))
