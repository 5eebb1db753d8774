"""In a view, only an authoritative *no* passes a name on: nobody wins a name by an outage of its owner."""

from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

TAG = "/v2/library/app/manifests/1.0"


async def view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    return await gateways.start(
        {"first": oci(first, stale_for="1h"), "second": oci(second, stale_for="1h")},
        views={"default": ["first", "second"], "both": ["first", "second"]},
    )


async def test_the_first_member_that_has_a_name_answers(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    answer = await gateway.get(TAG)

    assert (content, "first") == (answer.body, answer.headers["Apprproxy-Upstream"])
    assert 0 == other.count()


async def test_an_authoritative_no_passes_the_name_on(registry: Registry, other: Registry, gateways: Gateways) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    answer = await gateway.get(TAG)

    assert (content, "second") == (answer.body, answer.headers["Apprproxy-Upstream"])
    assert content == (await gateway.get("/v2/both/library/app/manifests/1.0")).body


async def test_an_outage_does_not_pass_the_name_on(registry: Registry, other: Registry, gateways: Gateways) -> None:
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.says(500)
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "first: " in failed.message
    assert 0 == other.count()


async def test_a_load_balancers_404_does_not_pass_the_name_on(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.page(404)
    gateway = await view(gateways, registry, other)

    assert 502 == (await gateway.get(TAG)).status
    assert 0 == other.count()


async def test_whoever_had_the_name_is_asked_first(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    registry.push("library/app", "1.0", b"registered later")
    asked = registry.count()
    clock.advance(61)

    assert content == (await gateway.get(TAG)).body
    assert asked == registry.count()


async def test_an_earlier_members_outage_does_not_touch_names_of_later_ones(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    await registry.stop()
    clock.advance(61)

    assert content == (await gateway.get(TAG)).body


async def test_the_owners_outage_beyond_stale_for_does_not_pass_its_name_on(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"first")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.says(500)
    clock.advance(60 + 3600 + 1)

    assert 502 == (await gateway.get(TAG)).status
    assert 0 == other.count()


async def test_nobody_has_it_is_a_404_that_names_everybody(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await view(gateways, registry, other)
    missing = await gateway.get(TAG)

    assert (404, "MANIFEST_UNKNOWN") == (missing.status, missing.code)
    assert "first: " in missing.message
    assert "second: " in missing.message


async def test_a_blob_is_asked_for_where_its_repository_was_found(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    other.push("library/app", "1.0", b"layer")
    wanted = other.add_blob("library/app", b"layer")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body
    assert 0 == registry.count("blob")


async def test_a_blob_is_taken_from_whoever_has_it(registry: Registry, other: Registry, gateways: Gateways) -> None:
    wanted = other.add_blob("library/app", b"layer")
    registry.on["blob"] = lies.says(500)
    gateway = await view(gateways, registry, other)

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body


async def test_a_blob_at_a_later_member_wins_none_of_the_names(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("corp/app", "1.0", b"first")
    content = registry.push("corp/app", "2.0", b"first, newer")
    planted = other.add_blob("corp/app", b"planted")
    other.push("corp/app", "2.0", b"squatted")
    gateway = await view(gateways, registry, other)
    await gateway.get("/v2/corp/app/manifests/1.0")
    head = await gateway.head(f"/v2/corp/app/blobs/{planted}")
    answer = await gateway.get("/v2/corp/app/manifests/2.0")

    assert 200 == head.status
    assert (content, "first") == (answer.body, answer.headers["Apprproxy-Upstream"])
