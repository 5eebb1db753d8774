"""403 in the protocol's words is a *no* that hands the name to nobody: what is denied may exist."""

import pytest

from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest, oci_error
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

APP = "library/app"
TAG = f"/v2/{APP}/manifests/1.0"
LIST = f"/v2/{APP}/tags/list"
REFERRERS = f"/v2/{APP}/referrers/{digest(b'subject')}"
DENIED = lies.says(403, oci_error("DENIED", "not for you"), Content_Type="application/json")


async def view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    upstreams = {"first": oci(first, missing_for="10s"), "second": oci(second, missing_for="10s")}
    return await gateways.start(upstreams, views={"default": ["first", "second"]})


def denying(registry: Registry) -> None:
    for kind in ("tag", "tags", "referrers", "manifest", "blob"):
        registry.on[kind] = DENIED


@pytest.mark.parametrize("path", [TAG, LIST, REFERRERS])
async def test_a_denied_name_is_not_passed_on(
    registry: Registry, other: Registry, gateways: Gateways, path: str
) -> None:
    denying(registry)
    other.push(APP, "1.0", b"squatted")
    gateway = await view(gateways, registry, other)
    denied, head = await gateway.get(path), await gateway.head(path)

    assert (403, "DENIED") == (denied.status, denied.code)
    assert 403 == head.status
    assert "first: denies it: DENIED not for you" in denied.message
    assert 0 == other.count()


async def test_a_denial_is_remembered_for_a_while(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    denying(registry)
    other.push(APP, "1.0", b"squatted")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    asked = registry.count()
    again = await gateway.get(TAG)
    remembered = registry.count()
    registry.on.clear()
    content = registry.push(APP, "1.0", b"layer")
    clock.advance(11)
    allowed = await gateway.get(TAG)

    assert (403, "DENIED") == (again.status, again.code), "what is remembered is the denial, not an absence"
    assert asked == remembered
    assert (200, content) == (allowed.status, allowed.body)
    assert 0 == other.count()


async def test_a_later_members_denial_is_a_denial(registry: Registry, other: Registry, gateways: Gateways) -> None:
    denying(other)
    gateway = await view(gateways, registry, other)
    denied = await gateway.get(TAG)

    assert (403, "DENIED") == (denied.status, denied.code)


@pytest.mark.parametrize("kind", ["blobs", "manifests"])
async def test_denied_bytes_are_403(registry: Registry, gateways: Gateways, kind: str) -> None:
    denying(registry)
    gateway = await gateways.start({"hub": registry})
    answers = [await gateway.get(f"/v2/hub/{APP}/{kind}/{digest(b'x')}") for _ in range(2)]

    assert [(403, "DENIED")] * 2 == [(got.status, got.code) for got in answers]
    assert 1 == registry.count()


async def test_bytes_may_come_from_anyone_else(registry: Registry, other: Registry, gateways: Gateways) -> None:
    denying(registry)
    wanted = other.add_blob(APP, b"layer")
    gateway = await view(gateways, registry, other)

    assert b"layer" == (await gateway.get(f"/v2/{APP}/blobs/{wanted}")).body


async def test_what_is_held_is_hidden_once_it_is_denied(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    registry.push(APP, "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get(TAG)
    denying(registry)
    clock.advance(61)
    denied = await gateway.get(TAG)

    assert (403, "DENIED") == (denied.status, denied.code)


@pytest.mark.parametrize("body", [b"", b"<html>Forbidden</html>", b"{}"])
async def test_a_403_in_no_words_of_the_protocols_is_an_outage(
    registry: Registry, other: Registry, gateways: Gateways, body: bytes
) -> None:
    registry.on["tag"] = lies.says(403, body)
    other.push(APP, "1.0", b"squatted")
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 0 == other.count()


@pytest.mark.parametrize("code", ["DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS", "UNAVAILABLE", "UNKNOWN", "UNSUPPORTED"])
async def test_a_404_that_does_not_say_whether_it_is_there_is_an_outage(
    registry: Registry, other: Registry, gateways: Gateways, code: str
) -> None:
    registry.on["tag"] = lies.says(404, oci_error(code))
    other.push(APP, "1.0", b"squatted")
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(TAG)
    registry.on.clear()
    content = registry.push(APP, "1.0", b"layer")

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 0 == other.count()
    assert content == (await gateway.get(TAG)).body, "and it is not remembered"
