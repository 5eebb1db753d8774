"""A day with every fault in it, compressed: a gateway process, its upstreams, its clients, and what it wrote of it all.

`python -m tests.night.day --hour 6 --log FILE` lives it and prints what really happened, hour by hour. Whoever is to
say whether an operator can tell that from the log is given the log alone.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from tests.appregistry.archives import chart, packed
from tests.appregistry.registry import Registry as Packages
from tests.appregistry.upstream import Upstream
from tests.appregistry.upstream import running as app_registry
from tests.fakes import lies
from tests.fakes.content import digest, some_bytes
from tests.fakes.lies import Behaviour, Honest
from tests.fakes.lock import Password
from tests.fakes.registry import Registry
from tests.peers.gateway import Gateway

CLIENTS = {"ci": "127.0.0.11", "node": "127.0.0.12", "laptop": "127.0.0.13"}
MIB = 1024 * 1024
BIG = 12 * MIB
PACKAGE = "/packages/cnr/api/v1/packages/alice/nginx/1.0.0/helm"


@dataclass
class World:
    """``new`` has so many images that nobody has pulled yet, of hub and of quay."""

    gateway: Gateway
    hub: Registry
    mirrors: tuple[Registry, Registry]
    quay: Registry
    packages: Upstream
    password: Password
    number: int = 0
    pulled: list[tuple[str, str, str]] = field(default_factory=list)

    def image(self, of: str, size: int = 20_000) -> tuple[str, str, str]:
        """Upstream, tag and layer of one that is new, and that the mirrors have as well."""
        self.number += 1
        tag, layer = f"{self.number}", some_bytes(size, f"layer {self.number}")
        for each in (self.hub, *self.mirrors) if of == "hub" else (self.quay,):
            each.push("team/app", tag, layer)
        return of, tag, digest(layer)


@dataclass(frozen=True)
class Hour:
    """``fails`` are the words that the log must have of it, in one line each, beside who it was."""

    what: str
    act: Callable[[World, float], Awaitable[None]]
    told: tuple[dict[str, str], ...] = ()


# --- clients


async def pulls(world: World, who: str, of: str, tag: str, layer: str) -> None:
    await asks(world, who, f"/v2/{of}/team/app/manifests/{tag}")
    await asks(world, who, f"/v2/{of}/team/app/blobs/{layer}")


async def asks(world: World, who: str, path: str) -> int:
    timeout, host = aiohttp.ClientTimeout(total=20), CLIENTS[who]
    connector = aiohttp.TCPConnector(local_addr=(host, 0))
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector, headers={"User-Agent": who}) as session,
            session.get(world.gateway.url + path) as answer,
        ):
            await answer.read()
            return answer.status
    return 0


async def traffic(world: World) -> None:
    """All day long: what was pulled before, and now and then something new."""
    while True:
        image = world.image("hub" if world.number % 2 else "quay")
        for who in CLIENTS:
            await pulls(world, who, *image)
            await asks(world, who, "/v2/hub/team/app/manifests/1")
            await asks(world, who, f"{PACKAGE}/pull")
        await asyncio.sleep(0.2)


# --- what happens


async def other_bytes(request: web.BaseRequest, honest: Honest) -> web.StreamResponse:
    body = bytes(byte ^ 1 for byte in honest.body[:100]) + honest.body[100:]
    return await lies.honestly(request, Honest(honest.status, body, honest.headers))


@asynccontextmanager
async def behaving(registry: Registry, **kinds: Behaviour) -> AsyncIterator[None]:
    registry.on.update(kinds)
    try:
        yield
    finally:
        for kind in kinds:
            del registry.on[kind]


def while_(of: Callable[[World], Registry], **kinds: Behaviour) -> Callable[[World, float], Awaitable[None]]:
    async def act(world: World, hour: float) -> None:
        async with behaving(of(world), **kinds):
            await asyncio.sleep(hour)

    return act


EVERYTHING = ("tag", "manifest", "blob", "tags", "catalog")


def all_of(behaviour: Behaviour) -> dict[str, Behaviour]:
    return dict.fromkeys(EVERYTHING, behaviour)


async def quiet(_: World, hour: float) -> None:
    await asyncio.sleep(hour)


async def wrong_password(world: World, hour: float) -> None:
    world.password.password = "changed"
    await asyncio.sleep(hour)
    world.password.password = "s3cret"


async def packages_stopped(world: World, hour: float) -> None:
    await world.packages.stop()
    await asyncio.sleep(hour)
    await world.packages.start()


async def moved(world: World, hour: float) -> None:
    world.packages.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0", "other content")))
    await asyncio.sleep(hour)


async def spoilt_on_disk(world: World, hour: float) -> None:
    of, tag, layer = world.image("hub", MIB)
    blob = world.gateway.folder / "cache" / "blobs" / layer.replace(":", "/")
    while not blob.exists():
        await pulls(world, "ci", of, tag, layer)
        await asyncio.sleep(0.1)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[: MIB // 2])
    for _ in range(3):
        await pulls(world, "node", of, tag, layer)
    await asyncio.sleep(hour)


async def killed(world: World, hour: float) -> None:
    assert world.gateway._child is not None
    world.gateway._child.kill()
    world.gateway.stop()
    await asyncio.sleep(hour / 4)
    await asyncio.to_thread(world.gateway.start)
    await asyncio.sleep(hour / 2)


async def more_than_fits(world: World, hour: float) -> None:
    for _ in range(8):
        await pulls(world, "laptop", *world.image("hub", BIG))
    await asyncio.sleep(hour)


async def strange_client(world: World, hour: float) -> None:
    for path in (
        "/v2/hub/../../etc/passwd",
        "/v2/hub/Team/app/manifests/1",
        "/v2/nobody/team/app/manifests/1",
        "/wp-login",
    ):
        await asks(world, "laptop", path)
    with suppress(OSError):
        _, writer = await asyncio.open_connection(*world.gateway.host.split(":"))
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
        await asyncio.sleep(0.2)
        writer.close()
    await asyncio.sleep(hour)


def _hub(world: World) -> Registry:
    return world.hub


def _quay(world: World) -> Registry:
    return world.quay


def _mirror(world: World) -> Registry:
    return world.mirrors[0]


def _second(world: World) -> Registry:
    return world.mirrors[1]


DAY = [
    Hour("everything is well", quiet),
    Hour(
        "hub takes 1.2 s for each answer", while_(_hub, **all_of(lies.late(1.2))), ({"upstream": "hub", "seconds": ""},)
    ),
    Hour(
        "hub hangs up on whoever asks",
        while_(_hub, **all_of(lies.hangs_up)),
        ({"upstream": "hub", "reason": "connection"},),
    ),
    Hour("everything is well", quiet),
    Hour(
        "the first mirror of hub sends other bytes",
        while_(_mirror, blob=other_bytes),
        ({"upstream": "hub", "source": "mirror-1", "reason": "wrong"},),
    ),
    Hour(
        "the second mirror of hub hangs",
        while_(_second, blob=lies.late(60)),
        ({"upstream": "hub", "source": "mirror-2", "reason": "in time"},),
    ),
    Hour(
        "quay does not take the gateway's password any more",
        wrong_password,
        ({"upstream": "quay", "status": "401", "key": "password_file"},),
    ),
    Hour(
        "a balancer before hub says 404 with a page, to everything",
        while_(_hub, **all_of(lies.page(404))),
        ({"upstream": "hub", "reason": "404"},),
    ),
    Hour(
        "hub says 429, and to come back in 5 s",
        while_(_hub, **all_of(lies.says(429, Retry_After="5"))),
        ({"upstream": "hub", "reason": "429"},),
    ),
    Hour("everything is well", quiet),
    Hour(
        "release alice/nginx 1.0.0 is pushed anew with other content",
        moved,
        ({"upstream": "packages", "name": "alice"},),
    ),
    Hour(
        "quay itself sends other bytes",
        while_(_quay, blob=other_bytes),
        ({"upstream": "quay", "source": "owner", "repository": "team/app", "level": "error"},),
    ),
    Hour("half of a blob is lost on the gateway's disk", spoilt_on_disk),
    Hour(
        "the gateway is killed, and started after a quarter of an hour",
        killed,
        ({"event": "ended without stopping", "gone_by": ""},),
    ),
    Hour("more is pulled than the cache may hold", more_than_fits, ({"event": "evicted"},)),
    Hour(
        "a client asks for strange things, and speaks TLS to a plain port", strange_client, ({"client": "127.0.0.13"},)
    ),
    Hour("packages refuses connections", packages_stopped, ({"upstream": "packages", "reason": "connection"},)),
    Hour("everything is well", quiet),
]


def settings(world_urls: dict[str, str]) -> dict[str, Any]:
    timeouts = {"connect": "1s", "read": "2s", "name": "3s", "revalidate": "500ms"}
    shared = {"fresh_for": "1s", "missing_for": "1s", "timeouts": timeouts}
    mirrors = [{"url": world_urls[name], "timeouts": {"read": "1s"}} for name in ("mirror-1", "mirror-2")]
    auth = {"username": "bot", "password_file": world_urls["password"]}
    every: dict[str, Any] = {
        "hub": {"kind": "oci", "url": world_urls["hub"], "mirrors": mirrors, **shared},
        "quay": {"kind": "oci", "url": world_urls["quay"], "auth": auth, **shared},
        "packages": {"kind": "appr", "url": world_urls["packages"], **shared},
    }
    written: dict[str, Any] = json.loads(
        json.dumps(every)
    )  # without the aliases that YAML would have for what is shared
    return written


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Everything is well in it."""
    async with AsyncExitStack() as stack:
        password = Password()
        hub, one, two = [await stack.enter_async_context(Registry()) for _ in range(3)]
        quay = await stack.enter_async_context(Registry(password))
        packages = await stack.enter_async_context(app_registry(Packages()))
        packages.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
        (folder / "password").write_text(password.password)
        urls = {"hub": hub.url, "mirror-1": one.url, "mirror-2": two.url, "quay": quay.url, "packages": packages.url}
        upstreams = settings({**urls, "password": str(folder / "password")})
        gateway = Gateway(folder, upstreams, cache={"directory": str(folder / "cache"), "max_size": "64MiB"})
        await asyncio.to_thread(gateway.start)
        stack.push_async_callback(asyncio.to_thread, gateway.stop)
        yield World(gateway, hub, (one, two), quay, packages, password)


@dataclass(frozen=True)
class Lived:
    """An hour as it was: from when to when, by the clock that logs use."""

    hour: Hour
    begin: float
    end: float


async def live(world: World, hour: float) -> list[Lived]:
    """The day, an hour in so many seconds."""
    lived = []
    world.image("hub")
    busy = asyncio.create_task(traffic(world))
    try:
        for each in DAY:
            begin = time.time()
            await each.act(world, hour)
            lived.append(Lived(each, begin, time.time()))
    finally:
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
    return lived


async def main(hour: float, log: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with world(folder) as whole:
            lived = await live(whole, hour)
        log.write_text(whole.gateway.output)
    for one in lived:
        stamp = time.strftime("%H:%M:%S", time.gmtime(one.begin))
        print(json.dumps({"begin": stamp, "what": one.hour.what}), file=sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hour", type=float, default=6.0, help="seconds that an hour takes")
    parser.add_argument("--log", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.hour, arguments.log))
