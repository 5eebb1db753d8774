"""An upstream with mirrors that all hold one blob, and what each of them was asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.fakes.clock import Gate, until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.ranged import by_range
from tests.fakes.registry import Registry

BLOB = some_bytes(1_500_000)
OTHER = some_bytes(1_500_000, seed="other")
HALF = 700_000
APP = "library/app"
PATH = f"/v2/hub/{APP}/blobs/{digest(BLOB)}"
TAG = f"/v2/hub/{APP}/manifests/1.0"


@dataclass(frozen=True, slots=True)
class Case:
    """``manifest`` is what the owner's tag 1.0 names; ``section`` the upstream's configuration."""

    owner: Registry
    mirrors: Sequence[Registry]
    gateway: Running
    manifest: bytes
    section: Mapping[str, Any]
    path: str = PATH

    async def again(self, gateways: Gateways) -> "Case":
        """Another gateway on the same cache; the first must have been closed."""
        return replace(self, gateway=await gateways.start({"hub": self.section}))

    async def pull(self) -> Got:
        """The blob; no transfer is under way afterwards."""
        got = await self.gateway.get(PATH)
        await self.gateway.at_rest()
        return got

    async def pull_through(self, gate: Gate) -> Got:
        """The same, with a source that waits at the gate in the middle of it: that opens once some has arrived, for
        what an HTTP library has not handed over when the connection breaks is lost."""
        pulling = asyncio.create_task(self.pull())
        await until(lambda: self.arrived() > 0)
        gate.open()
        return await pulling

    def asked(self) -> list[int]:
        """How often each mirror, and then the owner, was asked for bytes."""
        return [one.count("GET blob") for one in (*self.mirrors, self.owner)]

    def ranges(self) -> list[str]:
        """The Range that the owner was asked for, each time."""
        return [one.headers.get("range", "") for one in self.owner.seen if (one.method, one.kind) == ("GET", "blob")]

    def received(self, source: str) -> float:
        return self.gateway.metric("apprproxy_upstream_bytes_total", upstream="hub", source=source)

    def available(self, number: int = 1) -> bool:
        label = f"mirror-{number}"
        return self.gateway.metric("apprproxy_upstream_available", upstream="hub", source=label) == 1

    def arrived(self) -> int:
        """Bytes in the growing file."""
        return self.gateway.arrived()

    async def forget(self) -> None:
        """The blob is not held any more, so that it is asked for again."""
        for path in self.gateway.cache.glob("blobs/sha256/*"):
            path.unlink()


@asynccontextmanager
async def mirrored(gateways: Gateways, count: int = 1, *, stated: bool = True, **keys: Any) -> AsyncIterator[Case]:
    """``stated`` says whether a manifest has told the size; ``keys`` are the upstream's and ``delivery``."""
    more = {"delivery": keys.pop("delivery", {})}
    async with AsyncExitStack() as stack:
        owner, *mirrors = [await stack.enter_async_context(Registry()) for _ in range(count + 1)]
        manifest = b""
        for one in (owner, *mirrors):
            manifest = one.push(APP, "1.0", BLOB)
            one.on["blob"] = by_range
        section = oci(owner, mirrors=[{"url": one.url} for one in mirrors], **keys)
        gateway = await gateways.start({"hub": section}, **more)
        case = Case(owner, mirrors, gateway, manifest, section)
        if stated:
            assert manifest == (await gateway.get(TAG)).body
            for one in (owner, *mirrors):
                one.seen.clear()
        yield case
