"""A body without a length ends with its line: whether it is the whole nobody can tell, and breaking off is no lie.

Who sends others in this way is found out all the same, or left alone for longer and longer."""

import gzip
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.fakes.clock import Clock
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, Got, Running
from tests.fakes.lies import Honest, honestly, says, until_it_ends
from tests.fakes.listening import listening
from tests.fakes.ranged import by_range
from tests.gateway.mirrors import APP, BLOB, HALF, Case, mirrored

HOUR = 3600.0
MISMATCHES = "apprproxy_digest_mismatches_total"


async def pulled(case: Case) -> Got:
    """The manifest by its digest, whose size nobody has told."""
    await case.forget()
    got = await case.gateway.get(f"/v2/hub/{APP}/manifests/{digest(case.manifest)}")
    await case.gateway.at_rest()
    return got


async def asked_again(case: Case, clock: Clock, after: float, number: int = 1) -> bool:
    """The mirror, which is honest by now."""
    mirror = case.mirrors[number - 1]
    before = mirror.count("GET manifest")
    mirror.on["manifest"] = honestly
    clock.advance(after)
    assert case.manifest == (await pulled(case)).body
    return mirror.count("GET manifest") > before


async def test_a_mirror_that_breaks_off_in_a_blob_has_not_lied(gateways: Gateways, clock: Clock) -> None:
    async with mirrored(gateways) as case:
        case.mirrors[0].on["blob"] = until_it_ends(BLOB[:HALF])
        got = await case.pull()

        assert (200, BLOB) == (got.status, got.body)
        assert [f"bytes={HALF}-"] == case.ranges()
        assert 0 == case.gateway.metric(MISMATCHES)
        assert not case.available()

        case.mirrors[0].on["blob"] = by_range
        clock.advance(3)
        await case.forget()
        await case.pull()

        assert ([2, 1], True) == (case.asked(), case.available())


@pytest.mark.parametrize("size", [0, 9, -9])
async def test_nor_one_that_does_in_a_manifest(gateways: Gateways, clock: Clock, size: int) -> None:
    async with mirrored(gateways, stated=False) as case:
        case.mirrors[0].on["manifest"] = until_it_ends(case.manifest[:size])
        got = await pulled(case)

        assert (200, case.manifest) == (got.status, got.body)
        assert 0 == case.gateway.metric(MISMATCHES)
        assert await asked_again(case, clock, 3)
        assert case.available()


async def test_nor_one_that_breaks_off_before_another_had(gateways: Gateways, clock: Clock) -> None:
    async with mirrored(gateways, 2, stated=False) as case:
        case.mirrors[0].on["manifest"] = until_it_ends(case.manifest[:90])
        case.mirrors[1].on["manifest"] = until_it_ends(case.manifest[:9])
        got = await pulled(case)

        assert (200, case.manifest) == (got.status, got.body)
        assert 0 == case.gateway.metric(MISMATCHES)
        assert await asked_again(case, clock, 3)
        case.mirrors[0].on["manifest"] = says(404)
        assert await asked_again(case, clock, 0, number=2)


@pytest.mark.parametrize("much", [0.5, 1.0, 2.0])
async def test_one_that_sends_others_is_distrusted_once_the_right_ones_are_here(
    gateways: Gateways, clock: Clock, much: float
) -> None:
    async with mirrored(gateways, stated=False) as case:
        case.mirrors[0].on["manifest"] = until_it_ends(b"?" * int(much * len(case.manifest)))
        got = await pulled(case)

        assert (200, case.manifest) == (got.status, got.body)
        assert not await asked_again(case, clock, HOUR - 1)


@pytest.mark.parametrize("sent", [b"?", b"?" * 9000])
async def test_what_an_owner_sent_wrong_for_a_while_spoils_nothing_later(
    gateways: Gateways, clock: Clock, sent: bytes
) -> None:
    async with mirrored(gateways, 0, stated=False) as case:
        case.owner.on["manifest"] = until_it_ends(sent)
        failed = await pulled(case)
        asked = case.owner.count("GET manifest")
        case.owner.on["manifest"] = until_it_ends(case.manifest)
        clock.advance(60)
        got = await pulled(case)

        assert (502, 200, case.manifest) == (failed.status, got.status, got.body)
        assert asked <= 4


# --- packages: the gzip of another source is another one, so none is gone on with

TAR = random.Random(1).randbytes(300_000)
PACKED, OTHER = gzip.compress(TAR), gzip.compress(TAR[:-1] + b"?")
PULL = "/corp/cnr/api/v1/packages/corp/nginx/1.0.0/helm/pull"


@dataclass
class Packages:
    gateway: Running
    body: bytes
    asked: list[str] = field(default_factory=list)

    async def pull(self) -> bytes:
        """Anew."""
        for path in self.gateway.cache.glob("blobs/sha256/*"):
            path.unlink()
        got = await self.gateway.get(PULL)
        await self.gateway.at_rest()
        return got.body


@asynccontextmanager
async def packages(gateways: Gateways, body: bytes) -> AsyncIterator[Packages]:
    """A package that its owner has; the mirror sends this body for it."""
    said = {"package": "corp/nginx", "release": "1.0.0", "mediaType": "helm", "content": {"digest": digest(TAR)[7:]}}

    async def owner(request: web.BaseRequest) -> web.StreamResponse:
        return await honestly(request, Honest(200, PACKED if "/blobs/" in request.path else json.dumps(said).encode()))

    async def mirror(request: web.BaseRequest) -> web.StreamResponse:
        case.asked.append(request.path)
        return await until_it_ends(case.body)(request, Honest(200))

    async with listening(owner) as url, listening(mirror) as other:
        mirrors = [{"url": other, "kind": "appr", "prefix": ""}]
        case = Packages(await gateways.start({"corp": {"kind": "appr", "url": url, "mirrors": mirrors}}), body)
        yield case


@pytest.mark.parametrize("size", [0, 5, 100_000, len(PACKED) - 1])
async def test_a_mirror_that_breaks_off_in_a_package_has_not_lied(gateways: Gateways, clock: Clock, size: int) -> None:
    async with packages(gateways, PACKED[:size]) as case:
        assert PACKED == await case.pull()

        clock.advance(3)
        case.body = PACKED
        assert PACKED == await case.pull()
        assert 2 == len(case.asked)
        assert 1 == case.gateway.metric("apprproxy_upstream_available", source="mirror-1")


@pytest.mark.parametrize("body", [OTHER, PACKED[:100_000] + b"?" * 100_000, b"<html>", PACKED + b"??"])
async def test_one_that_sends_what_cannot_become_the_package_is_distrusted(
    gateways: Gateways, clock: Clock, body: bytes
) -> None:
    async with packages(gateways, body) as case:
        assert PACKED == await case.pull()

        clock.advance(HOUR - 1)
        assert PACKED == await case.pull()
        assert 1 == len(case.asked)


async def test_one_that_sends_the_beginning_of_another_is_asked_more_and_more_seldom(
    gateways: Gateways, clock: Clock
) -> None:
    async with packages(gateways, OTHER[:100_000]) as case:
        for wait in (0, 3, 3, 2, 7, 2):  # it is left alone for 2, 4 and 8
            clock.advance(wait)
            assert PACKED == await case.pull()

    assert 4 == len(case.asked)
